//! Tweets: made up from a seed, or read from a file.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use millstream_types::{Millis, time::rfc3339};
use serde::{Deserialize, Serialize};

const TOPICS: [&str; 2] = ["awscloud", "serverless"];
const WORDS: [&str; 7] = ["batches", "queues", "cold starts", "tables", "shards", "retries", "alarms"];
const USERS: u32 = 50;

/// A short text of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tweet {
    pub id: String,
    pub username: String,
    pub topic: String,
    /// RFC 3339.
    pub time: String,
    pub text: String,
}

/// Tweets that a seed decides.
pub struct RandomTweets {
    random: fastrand::Rng,
    seed: u64,
    made: u64,
}

impl RandomTweets {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), seed, made: 0 }
    }

    /// The next one, written at `now`.
    pub fn next(&mut self, now: Millis) -> Tweet {
        let [first, second] = [(); 2].map(|()| WORDS[self.random.usize(..WORDS.len())]);
        let topic = TOPICS[self.random.usize(..TOPICS.len())];
        let id = format!("{}-{:06}", self.seed, self.made);
        self.made += 1;
        Tweet {
            id,
            username: format!("user{}", self.random.u32(..USERS)),
            topic: topic.to_owned(),
            time: rfc3339(now),
            text: format!("Thinking about {first} and {second} #{topic}"),
        }
    }
}

/// The tweets of a file of JSON lines with their times, one by one; a line that is none is an error with its number.
///
/// # Errors
/// When the file cannot be opened.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<(Millis, Tweet), String>> + use<>, String> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    Ok(BufReader::new(file).lines().enumerate().map(move |(index, line)| {
        let wrong =
            |reason: String| format!("{name}:{}: {reason}; expected id, username, topic, time and text", index + 1);
        let line = line.map_err(|error| wrong(error.to_string()))?;
        let tweet: Tweet = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let time: jiff::Timestamp = tweet.time.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
        Ok((time.as_millisecond(), tweet))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_tweets() {
        let made = |seed| {
            let mut tweets = RandomTweets::new(seed);
            (0..50).map(|now| tweets.next(now)).collect::<Vec<_>>()
        };
        assert_eq!(made(7), made(7));
        let texts = |seed| made(seed).into_iter().map(|tweet| tweet.text).collect::<Vec<_>>();
        assert_ne!(texts(7), texts(8));
    }

    #[test]
    fn the_examples_file_is_read_and_bad_lines_are_named() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tweets/tweets.jsonl");
        let tweets: Vec<_> = read(&file).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!((tweets.len(), tweets[0].0), (120, 1_480_550_400_000));
        let folder = tempfile::tempdir().unwrap();
        let bad = folder.path().join("bad.jsonl");
        std::fs::write(&bad, "{}\n").unwrap();
        let error = read(&bad).unwrap().next().unwrap().unwrap_err();
        assert!(error.contains("bad.jsonl:1: missing field `id`"), "{error}");
    }
}
