//! Stock trades: made up from a seed, or read from a file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use millstream_types::{Millis, time::rfc3339};
use serde::{Deserialize, Serialize};

/// Symbols and the prices they begin with.
const SYMBOLS: [(&str, f64); 10] = [
    ("MSFT", 412.0),
    ("AMZN", 186.0),
    ("GOOG", 171.0),
    ("AAPL", 228.0),
    ("NVDA", 131.0),
    ("META", 563.0),
    ("TSLA", 249.0),
    ("INTC", 22.5),
    ("ORCL", 172.0),
    ("IBM", 233.0),
];

/// Shares bought (positive) or sold (negative) by a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trade {
    /// What was traded.
    pub symbol: String,
    /// At which price.
    pub price: f64,
    /// How many, with sign.
    pub shares: i64,
    /// By whom.
    #[serde(default)]
    pub user_id: u32,
    /// When, RFC 3339.
    pub time: String,
}

/// Trades that a seed decides: prices walk at random, the same walk for the same seed.
pub struct RandomTrades {
    random: fastrand::Rng,
    prices: [f64; SYMBOLS.len()],
}

impl RandomTrades {
    /// The walk of a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), prices: SYMBOLS.map(|(_, price)| price) }
    }

    /// The next trade, made at `now`.
    pub fn next(&mut self, now: Millis) -> Trade {
        let index = self.random.usize(..SYMBOLS.len());
        let step = 1.0 + (self.random.f64() - 0.5) * 0.004;
        self.prices[index] = (self.prices[index] * step).clamp(1.0, 10_000.0);
        let sign = if self.random.bool() { 1 } else { -1 };
        Trade {
            symbol: SYMBOLS[index].0.to_owned(),
            price: (self.prices[index] * 100.0).round() / 100.0,
            shares: sign * self.random.i64(1..=500),
            user_id: self.random.u32(1..=10),
            time: rfc3339(now),
        }
    }
}

/// Why a file of trades cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TradeFileError {
    /// It cannot be opened or read.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// A line is no trade.
    #[error("{file}:{line}: {reason}; expected symbol, price, shares, userId and time (RFC 3339)")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Neither CSV nor JSON lines by its name.
    #[error("{file}: expected a name that ends with .csv or .jsonl")]
    Kind {
        /// The file.
        file: String,
    },
}

/// Trades with their times, or the line that is none.
pub type TimedTrades = Box<dyn Iterator<Item = Result<(Millis, Trade), TradeFileError>> + Send>;

/// The trades of a file with their times, one by one: files may be larger than memory.
///
/// # Errors
/// [`TradeFileError`] when the file cannot be opened or its name does not tell its kind.
pub fn read_file(path: &Path) -> Result<TimedTrades, TradeFileError> {
    let file = path.display().to_string();
    let open = || File::open(path).map_err(|error| TradeFileError::Io { file: path.display().to_string(), error });
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => {
            let rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(BufReader::new(open()?));
            Ok(Box::new(rows.into_deserialize::<CsvTrade>().enumerate().map(move |(index, row)| {
                let line = index as u64 + 2;
                let trade = row.map_err(|error| wrong(&file, line, error))?.into();
                timed(&file, line, trade)
            })))
        }
        Some("jsonl" | "ndjson") => {
            let lines = BufReader::new(open()?).lines().enumerate();
            Ok(Box::new(lines.filter(|(_, line)| !matches!(line, Ok(text) if text.trim().is_empty())).map(
                move |(index, line)| {
                    let number = index as u64 + 1;
                    let line = line.map_err(|error| wrong(&file, number, error))?;
                    let trade = serde_json::from_str(&line).map_err(|error| wrong(&file, number, error))?;
                    timed(&file, number, trade)
                },
            )))
        }
        _ => Err(TradeFileError::Kind { file }),
    }
}

/// A CSV row: the csv crate reads no renamed camelCase numbers from text fields otherwise.
#[derive(Deserialize)]
struct CsvTrade {
    symbol: String,
    price: f64,
    shares: i64,
    #[serde(default, rename = "userId")]
    user_id: u32,
    time: String,
}

impl From<CsvTrade> for Trade {
    fn from(row: CsvTrade) -> Self {
        Self { symbol: row.symbol, price: row.price, shares: row.shares, user_id: row.user_id, time: row.time }
    }
}

fn wrong(file: &str, line: u64, reason: impl std::fmt::Display) -> TradeFileError {
    TradeFileError::Line { file: file.to_owned(), line, reason: reason.to_string() }
}

fn timed(file: &str, line: u64, trade: Trade) -> Result<(Millis, Trade), TradeFileError> {
    let time: jiff::Timestamp = trade.time.parse().map_err(|error| wrong(file, line, error))?;
    Ok((time.as_millisecond(), trade))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_trades() {
        let walk = |seed| {
            let mut trades = RandomTrades::new(seed);
            (0..100).map(|n| trades.next(n)).collect::<Vec<_>>()
        };
        assert_eq!(walk(7), walk(7));
        assert_ne!(walk(7), walk(8));
        assert!(walk(7).iter().any(|trade| trade.shares < 0));
    }

    #[test]
    fn files_are_read_and_bad_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("t.csv");
        std::fs::write(
            &csv,
            "time,symbol,price,shares,userId\n2018-07-09T14:30:00Z,MSFT,101.5,-20,3\nnever,MSFT,1,1,1\n",
        )
        .unwrap();
        let rows: Vec<_> = read_file(&csv).unwrap().collect();
        assert_eq!(rows[0].as_ref().unwrap().0, 1_531_146_600_000);
        assert_eq!(rows[0].as_ref().unwrap().1.shares, -20);
        assert!(rows[1].as_ref().unwrap_err().to_string().contains("t.csv:3:"));
        let lines = folder.path().join("t.jsonl");
        std::fs::write(
            &lines,
            "{\"symbol\":\"AMZN\",\"price\":1,\"shares\":2,\"userId\":3,\"time\":\"2018-07-09T14:30:00Z\"}\n\n{}\n",
        )
        .unwrap();
        let rows: Vec<_> = read_file(&lines).unwrap().collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[1].as_ref().unwrap_err().to_string().contains("t.jsonl:3:"));
        assert!(matches!(read_file(&folder.path().join("t.txt")), Err(TradeFileError::Kind { .. })));
    }
}
