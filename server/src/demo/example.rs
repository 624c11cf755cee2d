//! The examples as part of the binary, so that the demo runs from anywhere.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::header::AUTHORIZATION;

use crate::demo::producer::Destination;

/// An example: its files, and where its producer and its summary look.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The folder below the data folder in which it lies.
    pub folder: &'static str,
    /// The query whose rows are shown, and its output; empty where none are.
    pub query: (&'static str, &'static str),
    /// The hub that trades are sent to; `None`: the API that the example defines.
    pub hub: Option<&'static str>,
    /// Whether windows go by the trades' own times.
    own_time: bool,
    files: &'static [(&'static str, &'static str)],
}

/// The story on AWS's services.
pub const AWS: Example = Example {
    folder: "demo",
    query: ("share-change-per-minute", "OUTPUT_STREAM"),
    hub: None,
    own_time: false,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/stock-trades/pipeline.toml")),
        ("share_change.kinesis.sql", include_str!("../../../examples/stock-trades/share_change.kinesis.sql")),
        (
            "share_change.stream-analytics.sql",
            include_str!("../../../examples/stock-trades/share_change.stream-analytics.sql"),
        ),
        ("functions/native/bootstrap", include_str!("../../../examples/stock-trades/functions/native/bootstrap")),
    ],
};

/// The same story on Azure's services.
pub const AZURE: Example = Example {
    folder: "demo-azure",
    query: ("share-change-job", "ShareChangeDocuments"),
    hub: Some("stocktransactions"),
    own_time: false,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/stock-trades-azure/pipeline.toml")),
        ("share_change.sql", include_str!("../../../examples/stock-trades-azure/share_change.sql")),
        ("functions/native/bootstrap", include_str!("../../../examples/stock-trades-azure/functions/native/bootstrap")),
    ],
};

/// An API that earns money: plans, keys and the developer portal.
pub const PAID_API: Example = Example {
    folder: "demo-paid-api",
    query: ("", ""),
    hub: None,
    own_time: false,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/paid-api/pipeline.toml")),
        ("openapi.yaml", include_str!("../../../examples/paid-api/openapi.yaml")),
        ("functions/native/bootstrap", include_str!("../../../examples/paid-api/functions/native/bootstrap")),
    ],
};

/// Orders as events: a topic with subscribers behind a managed API.
pub const EVENT_GRID: Example = Example {
    folder: "demo-event-grid",
    query: ("", ""),
    hub: None,
    own_time: false,
    files: &[
        ("pipeline.toml", include_str!("../../../examples/event-grid/pipeline.toml")),
        ("functions/native/bootstrap", include_str!("../../../examples/event-grid/functions/native/bootstrap")),
    ],
};

/// Where a query's rows go in the pipeline file of [`AWS`].
const SAVED: &str = "function = \"SaveShareChange\"\nfills = { table = \"share_changes\", keys = { timestamp = \"time\", symbol = \"symbol\" } }\n";

/// A file of an example for trades of another day. They are late by any tolerance, and when they arrive says nothing: of the
/// pipeline's queries the one by their own times fills the table, not the one by arrival, and a job that goes by arrival goes by
/// their own times. They go through one partition: where rows may be late without limit, one without trades would hold up the others.
fn by_own_time(text: &str) -> String {
    let by_arrival = "name = \"OUTPUT_STREAM\"\n";
    let by_own_time = "name = \"ShareChanges\"\n";
    text.replace("FROM StockTransactionsRaw\n", "FROM StockTransactionsRaw TIMESTAMP BY time\n")
        .replace("late_tolerance_seconds = 5", "late_tolerance_seconds = -1")
        .replace("partitions = 4", "partitions = 1")
        .replace(&format!("{by_arrival}{SAVED}"), by_arrival)
        .replace(by_own_time, &format!("{by_own_time}{SAVED}"))
}

impl Example {
    /// The example with the query shown that goes by the trades' own times.
    #[must_use]
    pub fn by_own_time(mut self) -> Self {
        if self.query == AWS.query {
            self.query = ("share-change-stream-analytics", "ShareChanges");
        }
        self.own_time = true;
        self
    }

    /// Writes the example into a folder and gives its pipeline file.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        for (name, text) in self.files {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            if self.own_time {
                fs::write(&path, by_own_time(text))?;
            } else {
                fs::write(&path, text)?;
            }
            if name.ends_with("bootstrap") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        Ok(folder.join("pipeline.toml"))
    }
}

/// Where trades for a hub are posted, with a token made from its namespace's key. `until`: when the token ends, Unix seconds.
///
/// # Errors
/// When the address cannot be one.
pub fn hub_destination(endpoint: &str, hub: &str, policy: &str, key: &str, until: i64) -> anyhow::Result<Destination> {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let resource = escape(&format!("{endpoint}/{hub}"));
    let signature = millstream_namespace::signature(key, &resource, &until.to_string())
        .ok_or_else(|| anyhow::anyhow!("the key of {policy} cannot sign"))?;
    Ok(Destination {
        url: format!("{endpoint}/{hub}/messages").parse()?,
        credentials: vec![(
            AUTHORIZATION,
            format!("SharedAccessSignature sr={resource}&sig={}&se={until}&skn={policy}", escape(&signature)),
        )],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replayed_trades_fill_the_table_by_their_own_times() {
        let (_, pipeline) = AWS.files[0];
        let replayed = by_own_time(pipeline);
        let table = replayed.find(SAVED).unwrap();
        assert_eq!(replayed.matches(SAVED).count(), 1);
        assert!(replayed[..table].ends_with("name = \"ShareChanges\"\n"));
        assert!(replayed.contains("late_tolerance_seconds = -1"));
        let (_, job) = AZURE.files[1];
        assert_eq!(by_own_time(job).matches("TIMESTAMP BY time\n").count(), 2);
    }
}
