//! A batch is worked off: invocations with its pieces, and what becomes of them.

use bytes::Bytes;
use millstream_catalog::{FailureTarget, FunctionDefinition};
use millstream_insight::Step;
use millstream_types::{ErrorKind, Millis};

use super::{Item, Lane, LastRun};
use crate::error::MappingError;
use crate::failure::{DiscardReason, Discarded, FailureTargetError};
use crate::piece::{Outcome, Piece, Rest, judge};
use crate::work::{Ran, Said, Work, pause, stopping};

/// How often a failure target is tried, so that one which is gone does not hold up the shard.
const TELL_ATTEMPTS: u32 = 3;

impl Lane {
    /// Runs the function on a batch until all of it is done or given up, or the lane is asked to stop.
    pub(super) async fn work_off(&mut self, mut items: Vec<Item>) -> Result<(), MappingError> {
        if self.progress.pieces.is_empty() {
            self.progress.pieces.push(Piece { to: self.taken, attempts: 0 });
            self.last = None;
        }
        self.open_window(items.first());
        let mut not_run = 0;
        while let Some(piece) = self.progress.pieces.first().copied() {
            if stopping(&self.stop) {
                // What is left is read again from the place.
                self.taken = self.progress.position;
                self.ahead.clear();
                return Ok(());
            }
            if !self.give_up_old(&mut items, piece).await? {
                continue;
            }
            let count = items.iter().take_while(|item| item.offset < piece.to).count();
            if count == 0 {
                self.finish_piece().await?;
                continue;
            }
            self.tell(items.get(count - 1).map(|item| item.append_time));
            match self.attempt(&items[..count]).await {
                Some(outcome) => {
                    not_run = 0;
                    self.follow(&mut items, piece, count, outcome).await?;
                }
                None => {
                    not_run += 1;
                    pause(&self.stop, self.work.wait(not_run)).await;
                }
            }
        }
        self.tell(None);
        Ok(())
    }

    /// One invocation; `None` when it did not come to it.
    async fn attempt(&mut self, items: &[Item]) -> Option<Outcome> {
        let ran = self.work.run(self.event(items), self.progress.window.is_some()).await.ok()?;
        self.mark(items, &ran);
        let outcome = match &ran.said {
            Said::Everything => Outcome::Done,
            Said::NotThese(ids) => self.first_failed(items, ids),
            Said::Failed { .. } => Outcome::Failed,
        };
        if !matches!(outcome, Outcome::Failed | Outcome::FailedAt(0)) {
            self.hand_on(ran.state);
        }
        let error = match ran.said {
            Said::Failed { error, .. } => Some(error),
            _ => None,
        };
        self.last = Some(LastRun { invocation: ran.invocation, version: ran.version, error });
        Some(outcome)
    }

    /// The event of some records, as their window has it.
    fn event(&self, items: &[Item]) -> Bytes {
        let encoded: Vec<Bytes> = items.iter().map(|item| item.encoded.clone()).collect();
        let codec = &self.work.outside.codec;
        match &self.progress.window {
            Some(window) => codec.window_event(&self.origin, &encoded, &window.shown(false)),
            None => codec.event(&encoded),
        }
    }

    /// The first of the records that the function named. A name of none of them makes the whole answer worthless.
    fn first_failed(&self, items: &[Item], ids: &[String]) -> Outcome {
        let codec = &self.work.outside.codec;
        let names: Vec<String> = items.iter().map(|item| codec.record_id(&self.origin, item.offset)).collect();
        let places: Option<Vec<usize>> = ids.iter().map(|id| names.iter().position(|name| name == id)).collect();
        match places.and_then(|places| places.into_iter().min()) {
            Some(first) => Outcome::FailedAt(first),
            None => Outcome::Failed,
        }
    }

    async fn follow(
        &mut self,
        items: &mut Vec<Item>,
        piece: Piece,
        count: usize,
        outcome: Outcome,
    ) -> Result<(), MappingError> {
        let verdict = judge(piece, count, outcome, self.work.policy());
        if verdict.done > 0 {
            self.work.insight.metrics.counter("records", &self.work.subject()).add(verdict.done as u64);
            items.drain(..verdict.done);
            self.progress.position = items.first().map_or(piece.to, |item| item.offset.min(piece.to));
        }
        match verdict.rest {
            Rest::None => return self.finish_piece().await,
            Rest::Retry { attempts } => {
                self.progress.pieces[0].attempts = attempts;
                self.keep().await?;
                if attempts > 0 {
                    pause(&self.stop, self.work.wait(attempts)).await;
                }
            }
            Rest::Split { at } => {
                let to = items.get(at).map_or(piece.to, |item| item.offset);
                self.progress.pieces[0].attempts = 0;
                self.progress.pieces.insert(0, Piece { to, attempts: 0 });
                self.keep().await?;
            }
            Rest::Discard => {
                let count = count - verdict.done;
                if self.give_up(items, count, DiscardReason::Attempts, piece.attempts + 1).await {
                    return self.finish_piece().await;
                }
                // What is done is not to come again with the rest.
                self.keep().await?;
            }
        }
        Ok(())
    }

    /// Goes on behind the first piece.
    async fn finish_piece(&mut self) -> Result<(), MappingError> {
        if !self.progress.pieces.is_empty() {
            self.progress.position = self.progress.pieces.remove(0).to;
        }
        self.keep().await
    }

    /// Lets go of records that retention took or that are older than the function wants them. Gives whether it came to its
    /// end, as [`Lane::give_up`] does.
    async fn give_up_old(&mut self, items: &mut Vec<Item>, piece: Piece) -> Result<bool, MappingError> {
        let first = self.work.streams.bounds(self.origin.log).first;
        let gone = items.iter().take_while(|item| item.offset < first).count();
        if gone > 0 {
            self.expired(items[0].offset, first);
            items.drain(..gone);
        }
        let Some(max) = self.work.definition.settings.record_age_max_seconds else { return Ok(true) };
        let oldest = self.work.clock.now() - Millis::from(max) * 1_000;
        let wanted = |item: &&Item| item.offset < piece.to && item.append_time < oldest;
        let old = items.iter().take_while(wanted).count();
        if old == 0 {
            return Ok(true);
        }
        if !self.give_up(items, old, DiscardReason::Age, piece.attempts).await {
            return Ok(false);
        }
        self.progress.position = items.first().map_or(piece.to, |item| item.offset.min(piece.to));
        self.keep().await?;
        Ok(true)
    }

    /// Gives up the first `count` records and tells of it. Not so when the lane is asked to stop before the target was told:
    /// they are given up after the next start then, and this gives `false`.
    async fn give_up(&self, items: &mut Vec<Item>, count: usize, reason: DiscardReason, invocations: u32) -> bool {
        let (Some(first), Some(last)) = (items.first(), items[..count].last()) else { return true };
        if let Some(target) = &self.work.definition.settings.on_failure {
            let discarded = Discarded {
                event: self.event(&items[..count]),
                ..self.discarded((first, last), count, reason, invocations)
            };
            if !self.tell_target(target, &discarded).await {
                return false;
            }
        }
        let work = &self.work;
        let (mapping, function) = (&work.definition.id, &work.definition.function);
        tracing::warn!(mapping, function, records = count, first = first.offset, ?reason, "records are given up");
        work.insight.metrics.counter("records_discarded", &work.subject()).add(count as u64);
        items.drain(..count);
        true
    }

    /// What is told of records that are given up.
    fn discarded(
        &self,
        (first, last): (&Item, &Item),
        records: usize,
        reason: DiscardReason,
        invocations: u32,
    ) -> Discarded {
        let LastRun { invocation, version, error } = self.last.clone().unwrap_or_default();
        Discarded {
            mapping: self.work.definition.id.clone(),
            origin: self.origin.clone(),
            offsets: (first.offset, last.offset),
            times: (first.append_time, last.append_time),
            records,
            reason,
            invocations,
            invocation: (!invocation.is_empty()).then_some(invocation),
            version,
            error,
            event: Bytes::new(),
            time: self.work.clock.now(),
        }
    }

    /// Tells a target of records that are given up, or the function's log why it stays empty. `false`: the lane is asked to
    /// stop while another attempt is worth it.
    async fn tell_target(&self, target: &FailureTarget, discarded: &Discarded) -> bool {
        let mut attempt = 1;
        loop {
            let Err(error) = self.work.outside.failures.tell(target, discarded.clone()).await else { return true };
            let lasting = matches!(error.kind, ErrorKind::NotFound | ErrorKind::Forbidden | ErrorKind::Invalid);
            if lasting || attempt == TELL_ATTEMPTS {
                self.not_told(discarded.records, &error);
                return true;
            }
            pause(&self.stop, self.work.wait(attempt)).await;
            if stopping(&self.stop) {
                return false;
            }
            attempt += 1;
        }
    }

    /// A target that is missing or may not be written holds up nothing: the function's log says why it stays empty.
    fn not_told(&self, records: usize, error: &FailureTargetError) {
        let Work { definition, insight, .. } = &*self.work;
        let (mapping, (function, _)) = (&definition.id, FunctionDefinition::split_reference(&definition.function));
        tracing::warn!(mapping, function, %error, "records are given up and nobody is told");
        insight.metrics.counter("destination_delivery_failures", &format!("function/{function}")).add(1);
        self.work.tell_function(format!(
            "event source mapping {mapping}: {records} records are given up and nobody is told: {error}"
        ));
    }

    /// Marks which records went into an invocation: one mark for each run of offsets without a gap.
    fn mark(&self, items: &[Item], ran: &Ran) {
        let outcome = ran.said.told();
        for run in items.chunk_by(|item, next| item.offset + 1 == next.offset) {
            self.work.insight.trail.mark(Step::Delivered {
                log: self.origin.log.0,
                from: run[0].offset,
                to: run[run.len() - 1].offset + 1,
                function: FunctionDefinition::split_reference(&self.work.definition.function).0.to_owned(),
                invocation: ran.invocation.clone(),
                outcome: outcome.clone(),
            });
        }
    }
}
