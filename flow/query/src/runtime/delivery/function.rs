//! Rows to functions: each batch is tried until the function has said of every record that it has it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::OutputHanding;
use millstream_insight::Step;
use millstream_stream::SequenceNumber;
use millstream_types::{Backoff, CheckRole, Invocation, Invoke, Record, RoleUse};

use super::{BYTES_MAX, Outlet, RETRY_WAITS};
use crate::runtime::error::QueryError;

/// A row on its way to a function.
#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    /// The same in every attempt: what a function tells repetitions by.
    pub id: String,
    /// How often it was sent before.
    pub attempts: u32,
    /// The row as a record.
    pub data: Bytes,
}

/// What a function said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAnswer {
    /// Which record.
    pub id: String,
    /// Whether the function has it.
    pub ok: bool,
}

/// The shape in which rows go to functions and answers come back: a front's business, plugged in by the server.
pub trait OutputCodec: Send + Sync + 'static {
    /// The event of some records of a query's output.
    fn encode(&self, query: &str, records: &[DeliveryRecord]) -> Bytes;

    /// What the function said of the records that it was sent; `None` when it is no answer of that shape.
    fn decode(&self, records: &[DeliveryRecord], answer: &[u8]) -> Option<Vec<DeliveryAnswer>>;

    /// How many records one event may hold.
    fn records_max(&self) -> usize;
}

/// A function that gets rows.
pub(in crate::runtime) struct FunctionTarget {
    pub(in crate::runtime) function: String,
    /// The role that the output names.
    pub(in crate::runtime) role: String,
    /// `None`: no role is asked.
    pub(in crate::runtime) roles: Option<Arc<dyn CheckRole>>,
    pub(in crate::runtime) invoke: Arc<dyn Invoke>,
    pub(in crate::runtime) codec: Arc<dyn OutputCodec>,
    pub(in crate::runtime) handing: OutputHanding,
}

/// Runs of neighbours of which the function has all, or none: from, to (not in it), and which.
fn runs(offsets: &[u64], has: impl Fn(u64) -> bool) -> Vec<(u64, u64, bool)> {
    let mut runs: Vec<(u64, u64, bool)> = Vec::new();
    for &offset in offsets {
        let taken = has(offset);
        match runs.last_mut() {
            Some((_, to, same)) if *to == offset && *same == taken => *to += 1,
            _ => runs.push((offset, offset + 1, taken)),
        }
    }
    runs
}

impl FunctionTarget {
    /// Rows that the function gets at once, and their bytes.
    pub(super) fn batch_max(&self) -> (usize, usize) {
        let or = |asked: u32, usual: usize| if asked == 0 { usual } else { asked as usize };
        let OutputHanding { batch_rows, batch_bytes, .. } = self.handing;
        (or(batch_rows, self.codec.records_max()), or(batch_bytes, BYTES_MAX).min(BYTES_MAX))
    }

    /// Sends records until the function has all of them.
    pub(super) async fn deliver_all(&self, outlet: &Outlet, records: &[Record]) {
        let mut left: Vec<DeliveryRecord> = records
            .iter()
            .map(|record| DeliveryRecord {
                id: SequenceNumber { log: outlet.log, offset: record.offset }.to_string(),
                attempts: 0,
                data: record.data.clone(),
            })
            .collect();
        let mut offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
        let mut backoff = Backoff::new(RETRY_WAITS);
        while !left.is_empty() {
            let sent = left.len();
            let (invocation, outcome) = self.send(&outlet.query, &mut left).await;
            let ids: HashSet<&str> = left.iter().map(|record| record.id.as_str()).collect();
            let has = |offset: u64| !ids.contains(SequenceNumber { log: outlet.log, offset }.to_string().as_str());
            for (from, to, taken) in runs(&offsets, has) {
                outlet.insight.trail.mark(Step::Delivered {
                    log: outlet.log.0,
                    from,
                    to,
                    function: self.function.clone(),
                    invocation: invocation.clone(),
                    outcome: if taken { "ok".to_owned() } else { outcome.clone() },
                });
            }
            offsets.retain(|&offset| !has(offset));
            let subject = format!("query/{}", outlet.query);
            outlet.insight.metrics.counter("delivered", &subject).add((sent - left.len()) as u64);
            if left.is_empty() {
                outlet.running.delivered(&outlet.output);
                return;
            }
            let target = format!("function `{}`", self.function);
            let error = QueryError::Delivery { target, what: "records", left: left.len(), reason: outcome };
            outlet.running.not_delivered(&outlet.output, &error);
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// One attempt: takes out of `left` what the function has. Gives the invocation's id and how it went.
    async fn send(&self, query: &str, left: &mut Vec<DeliveryRecord>) -> (String, String) {
        if let Some(roles) = &self.roles
            && let Err(reason) = roles.check(&self.role, query, RoleUse::Invoke(&self.function))
        {
            return (String::new(), reason);
        }
        let invocation = Invocation {
            function: self.function.clone(),
            payload: self.codec.encode(query, left),
            source: format!("query:{query}"),
            client_context: None,
            log_tail: false,
        };
        left.iter_mut().for_each(|record| record.attempts += 1);
        let outcome = match self.invoke.invoke(invocation).await {
            Ok(outcome) => outcome,
            Err(error) => return (String::new(), error.to_string()),
        };
        if outcome.error.is_some() {
            return (outcome.id, String::from_utf8_lossy(&outcome.payload).into_owned());
        }
        let Some(answers) = self.codec.decode(left, &outcome.payload) else {
            let answer: String = String::from_utf8_lossy(&outcome.payload).chars().take(200).collect();
            return (outcome.id, format!("expected an answer for each record, found {answer}"));
        };
        let said: HashMap<&str, bool> = answers.iter().map(|answer| (answer.id.as_str(), answer.ok)).collect();
        left.retain(|record| said.get(record.id.as_str()) != Some(&true));
        let how = if left.is_empty() { "ok".to_owned() } else { format!("{} records were not taken", left.len()) };
        (outcome.id, how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_has_is_told_apart_from_what_it_has_not() {
        assert_eq!(runs(&[5, 6, 7, 9], |offset| offset != 7), [(5, 7, true), (7, 8, false), (9, 10, true)]);
        assert_eq!(runs(&[5, 6, 7], |_| false), [(5, 8, false)]);
        assert_eq!(runs(&[], |_| true), []);
    }
}
