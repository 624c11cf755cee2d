//! A plan that takes over from another one: it reads again what its open windows need, and hands nothing on twice.
//!
//! What flows *again* goes to windows and not to outputs: the rows of records that were read before, and the results of
//! windows that were over before (a later window may be made of them). Read next: [`super::Executor::push_decoded`].

use std::collections::BTreeMap;

use super::{ExecuteError, Executor, advance};
use crate::plan::{Operator, StepInput, TimeSource};
use crate::time_policy::{EARLY_MS, ShardTime};

impl Executor {
    /// Says what was handed on before: all windows that were over at `watermark`, and by source and shard the rows of records
    /// before an offset. `given` tells of outputs what another plan had given them at it ([`Executor::given`]): its joins may
    /// have been further behind, or less far.
    pub(crate) fn resume(&mut self, watermark: i64, handed: Vec<Vec<u64>>, given: &BTreeMap<String, Vec<i64>>) {
        self.emitted = watermark;
        self.handed = advance::handed(&self.program, &self.delays, watermark, given);
        for (source, handed) in self.sources.iter_mut().zip(handed) {
            source.handed = handed;
        }
    }

    /// Lets a shard begin that was not read before: its rows come behind what was handed on before.
    pub(crate) fn join(&mut self, source: usize, shard: usize) {
        self.sources[source].shards[shard] = ShardTime::joining(self.emitted);
    }

    /// Begins the windows that were not over before, which nothing is known of. Gives by source the arrival from which on
    /// records are needed for them; `None` where no window needs any.
    pub(crate) fn begin_windows(&mut self) -> Vec<Option<i64>> {
        // By step: the time behind which windows need its rows; of what is handed on only the rows of windows count.
        let mut needed = vec![None; self.program.steps.len()];
        let mut sources = vec![None; self.sources.len()];
        for step in (0..self.program.steps.len()).rev() {
            let before = self.handed[step].keys().next().copied();
            let emitted = before.unwrap_or_else(|| self.emitted.saturating_sub(self.delays[step]));
            let rows = needed[step].map_or(emitted, |behind: i64| behind.min(emitted));
            let behind = match (&self.program.steps[step].operator, &mut self.windows[step], &self.joins[step]) {
                (_, Some(windows), _) => Some(windows.begin_behind(rows)),
                (Operator::Join(_), _, Some(join)) => Some(join.begin_behind(rows)),
                // A time that is computed may be any.
                (Operator::Project { rowtime: Some(_), .. }, ..) => needed[step].map(|_| i64::MIN),
                _ => needed[step],
            };
            for input in &self.program.steps[step].inputs {
                let place = match input {
                    StepInput::Source(source) => &mut sources[*source],
                    StepInput::Step(step) => &mut needed[*step],
                };
                *place = earliest(*place, behind);
            }
        }
        // An event may be ahead of its arrival, by so much.
        let arrival = |(index, behind): (usize, Option<i64>)| match self.program.sources[index].time {
            TimeSource::Event(_) => behind.map(|behind| behind.saturating_sub(EARLY_MS)),
            TimeSource::Arrival => behind,
        };
        sources.into_iter().enumerate().map(arrival).collect()
    }

    /// Lets something flow that was handed on before, if it was: it is neither handed on nor counted nor told again.
    pub(super) fn again(
        &mut self,
        again: bool,
        flow: impl FnOnce(&mut Self) -> Result<(), ExecuteError>,
    ) -> Result<(), ExecuteError> {
        if !again {
            return flow(self);
        }
        let (counts, errors) = (self.counts, self.produced.errors.len());
        self.again = true;
        let flowed = flow(self);
        self.again = false;
        self.counts = counts;
        self.produced.errors.truncate(errors);
        flowed
    }
}

fn earliest(left: Option<i64>, right: Option<i64>) -> Option<i64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, OrderPolicy, QueryDialect, RecordFormat};
    use millstream_types::{EncodedRecords, RecordBatch};

    use super::super::Produced;
    use super::*;
    use crate::dialect::{InputSchema, plan};

    const BEGIN: i64 = 1_772_600_767_000;
    const PLANS: [&str; 18] = [
        "SELECT g, SUM(n) AS n INTO sums FROM i GROUP BY g, TumblingWindow(second, 7); SELECT n INTO singles FROM i",
        "SELECT g, SUM(n) AS n INTO sums FROM i TIMESTAMP BY t GROUP BY g, HoppingWindow(second, 12, 4)",
        "WITH a AS (SELECT g, SUM(n) AS n FROM i TIMESTAMP BY t WHERE n > 1 GROUP BY g, TumblingWindow(second, 5)),
         b AS (SELECT g, n + 0 AS n FROM a) SELECT SUM(n) AS n INTO sums FROM b GROUP BY TumblingWindow(second, 20);
         SELECT g, n INTO parts FROM b; SELECT n, g INTO singles FROM i TIMESTAMP BY t",
        "WITH a AS (SELECT g, n FROM i UNION SELECT g, 1 AS n FROM i)
         SELECT g, SUM(n) AS n INTO sums FROM a GROUP BY g, TumblingWindow(second, 3)",
        "SELECT g, SUM(n) AS n INTO sums FROM i GROUP BY g, SlidingWindow(second, 5)",
        "SELECT g, SUM(n) AS n INTO sums FROM i GROUP BY g, SessionWindow(second, 2, 6) OVER (PARTITION BY g)",
        "SELECT g, n, LAG(n, 2, -1) OVER (PARTITION BY g LIMIT DURATION(second, 4)) AS b, ISFIRST(second, 7) AS f INTO singles
         FROM i TIMESTAMP BY t",
        "WITH a AS (SELECT g, LAG(n) OVER (LIMIT DURATION(second, 5)) AS n FROM i TIMESTAMP BY t)
         SELECT n, SUM(n) OVER (PARTITION BY g LIMIT DURATION(second, 3)) AS s INTO sums FROM a WHERE ISFIRST(second, 2) = 1",
        "SELECT g, SUM(LAST(n) OVER (LIMIT DURATION(second, 6) WHEN n > 5)) AS n INTO sums FROM i
         WHERE ISFIRST(second, 3) OVER (PARTITION BY g) = 1 GROUP BY g, TumblingWindow(second, 10)",
        "SELECT a.g, a.n, b.n AS m INTO pairs FROM i a TIMESTAMP BY t LEFT JOIN i b TIMESTAMP BY t
         ON a.g = b.g AND DATEDIFF(second, a, b) BETWEEN 1 AND 3; SELECT n INTO singles FROM i TIMESTAMP BY t",
        "WITH p AS (SELECT a.g, a.n, b.n AS m FROM i a TIMESTAMP BY t LEFT JOIN i b TIMESTAMP BY t
         ON a.g = b.g AND DATEDIFF(second, a, b) BETWEEN -1 AND 2 AND a.n < b.n)
         SELECT g, SUM(n) AS n, SUM(m) AS m INTO sums FROM p GROUP BY g, TumblingWindow(second, 5)",
        "WITH s AS (SELECT g, SUM(n) AS n FROM i GROUP BY g, TumblingWindow(second, 3))
         SELECT a.g, a.n, s.n AS m INTO pairs FROM i a JOIN s ON a.g = s.g AND DATEDIFF(second, a, s) BETWEEN 0 AND 4",
        "WITH m AS (SELECT * FROM i TIMESTAMP BY t MATCH_RECOGNIZE (LIMIT DURATION(second, 4) PARTITION BY g
            MEASURES First(A.n) AS n, Max(B.n) AS most PATTERN (A+ B+) DEFINE A AS A.n < 6, B AS B.n > Last(A.n)) AS T)
         SELECT n, most INTO singles FROM m; SELECT SUM(n) AS n INTO sums FROM m GROUP BY TumblingWindow(second, 5)",
        "CREATE STREAM O (G VARCHAR(4), N BIGINT);
         CREATE PUMP P AS INSERT INTO O SELECT STREAM \"g\", \"n\" FROM \"i\" ORDER BY STEP(\"i\".ROWTIME BY INTERVAL '3' SECOND), \"n\", \"g\"",
        "CREATE STREAM S (G VARCHAR(4), N BIGINT);
         CREATE PUMP A AS INSERT INTO S SELECT STREAM q.\"g\", COUNT(*) FROM
         (SELECT STREAM DISTINCT \"g\", \"n\", STEP(\"i\".ROWTIME BY INTERVAL '5' SECOND) FROM \"i\") AS q
         GROUP BY q.\"g\", STEP(q.ROWTIME BY INTERVAL '10' SECOND);
         CREATE STREAM O (G VARCHAR(4), N BIGINT, R BIGINT); CREATE PUMP B AS INSERT INTO O
         SELECT STREAM * FROM TABLE(GROUP_RANK(CURSOR(SELECT STREAM * FROM S), 'N', 'R', 'desc', 'asc', 0, 0))",
        "CREATE STREAM O (N BIGINT, SCORE DOUBLE); CREATE PUMP P AS INSERT INTO O
         SELECT STREAM * FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM \"n\" FROM \"i\"), 3, 10, 40, 2))",
        "CREATE STREAM O (ITEM BIGINT, C BIGINT); CREATE PUMP P AS INSERT INTO O
         SELECT STREAM * FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM \"i\"), 'n', 2, 4))",
        "CREATE STREAM S (N BIGINT); CREATE PUMP A AS INSERT INTO S SELECT STREAM 1 / (\"n\" - 4) FROM \"i\";
         CREATE STREAM G (N BIGINT); CREATE PUMP B AS INSERT INTO G
         SELECT STREAM 1 / (SUM(\"n\") - 7) FROM \"i\" GROUP BY STEP(\"i\".ROWTIME BY INTERVAL '3' SECOND);
         CREATE STREAM E (P VARCHAR(8)); CREATE PUMP C AS INSERT INTO E SELECT STREAM PUMP_NAME FROM error_stream;
         CREATE STREAM O (P VARCHAR(8), N BIGINT); CREATE PUMP D AS INSERT INTO O
         SELECT STREAM e.PUMP_NAME, COUNT(*) FROM error_stream AS e GROUP BY e.PUMP_NAME, STEP(e.ROWTIME BY INTERVAL '5' SECOND)",
    ];

    fn executor(sql: &str, policy: OrderPolicy) -> Executor {
        let types = [("g", ColumnType::Text), ("n", ColumnType::BigInt), ("t", ColumnType::Timestamp)];
        let column = |(name, column_type): (&str, ColumnType)| ColumnDefinition::new(name, column_type);
        let columns = Some(types.map(column).to_vec());
        let input = InputSchema::new("i", columns);
        let kinesis = sql.starts_with("CREATE");
        let dialect = if kinesis { QueryDialect::Kinesis } else { QueryDialect::StreamAnalytics };
        let program = plan(dialect, sql, &[input]).unwrap();
        let order = EventOrder { late_tolerance_ms: 3_000, out_of_order_tolerance_ms: 2_000, policy };
        Executor::new(program, order, &[RecordFormat::Json], &[2])
    }

    /// Numbers that are the same in each run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    /// Two shards' batches in the order of their arrival; events are early, late and out of order.
    fn batches(random: &mut Random) -> Vec<(usize, RecordBatch)> {
        let (mut time, mut offsets, mut made) = (BEGIN, [0, 0], Vec::new());
        for _ in 0..60 {
            time += random.below(2_000) as i64;
            let shard = random.below(2) as usize;
            let mut records = EncodedRecords::default();
            for _ in 0..=random.below(3) {
                let event = time - 6_000 + random.below(8_000) as i64;
                let event = millstream_types::time::rfc3339(event);
                let (group, number) = (random.below(2), random.below(9));
                records.push(b"", b"", format!(r#"{{"g":"{group}","n":{number},"t":"{event}"}}"#).as_bytes());
            }
            let (bytes, count) = records.freeze();
            made.push((shard, RecordBatch { base_offset: offsets[shard], count, append_time: time, bytes }));
            offsets[shard] += u64::from(count);
        }
        made
    }

    fn note(produced: &Produced, rows: &mut BTreeMap<String, u32>) {
        for (output, batch) in &produced.rows {
            for (row, time) in super::super::rowtimes(batch).iter().enumerate() {
                let shown = format!("{:?}", batch.slice(row, 1).columns());
                *rows.entry(format!("{output} {time} {shown}")).or_default() += 1;
            }
        }
    }

    /// Lets batches flow; the log is known to be complete up to each of them.
    fn run(
        executor: &mut Executor,
        batches: &[(usize, RecordBatch)],
        from: impl Fn(&RecordBatch) -> bool,
        rows: &mut BTreeMap<String, u32>,
    ) {
        for (shard, batch) in batches.iter().filter(|(_, batch)| from(batch)) {
            note(&executor.push(0, *shard, batch, 0).unwrap(), rows);
            for shard in 0..2 {
                executor.caught_up(0, shard, batch.append_time);
            }
            note(&executor.advance(None).unwrap(), rows);
        }
    }

    /// What one plan gives when another takes over from it, and again while that still reads what was read before; and what
    /// the other gives alone.
    fn taken_over(random: &mut Random, [sql, other]: [&str; 2], policy: OrderPolicy) -> [BTreeMap<String, u32>; 2] {
        let batches = batches(random);
        let (mut alone, mut expected) = (executor(other, policy), BTreeMap::new());
        run(&mut alone, &batches, |_| true, &mut expected);
        note(&alone.advance(Some(i64::MAX)).unwrap(), &mut expected);

        let (cut, again) = (random.below(60) as usize, random.below(60) as usize);
        let (mut first, mut found) = (executor(sql, policy), BTreeMap::new());
        run(&mut first, &batches[..cut], |_| true, &mut found);
        let handed = |shard| {
            let last = batches[..cut].iter().rfind(|(of, _)| *of == shard);
            last.map_or(0, |(_, batch)| batch.next_offset())
        };
        let handed = vec![vec![handed(0), handed(1)]];
        let (mut emitted, mut given, mut now) = (first.advanced(), first.given(), executor(other, policy));
        for stop in [again.min(cut), batches.len()] {
            now = executor(other, policy);
            now.resume(emitted, handed.clone(), &given);
            let needed = now.begin_windows()[0].unwrap();
            run(&mut now, &batches[..stop], |batch| batch.append_time >= needed, &mut found);
            emitted = emitted.max(now.advanced());
            given = now.given();
        }
        note(&now.advance(Some(i64::MAX)).unwrap(), &mut found);
        [found, expected]
    }

    #[test]
    fn a_plan_that_takes_over_gives_what_one_alone_gives() {
        let mut random = Random(88_172_645_463_325_252);
        for round in 0..200 {
            let sql = PLANS[round % PLANS.len()];
            let policy = if round % 3 == 0 { OrderPolicy::Drop } else { OrderPolicy::Adjust };
            let [found, expected] = taken_over(&mut random, [sql, sql], policy);
            assert_eq!(found, expected, "round {round}: {sql}");
        }
    }

    /// Each row matches itself, so both kinds of joins give the same; results without a match are known later.
    #[test]
    fn a_plan_whose_joins_are_further_behind_or_less_takes_over() {
        let sql = |kind: &str| {
            format!(
                "WITH p AS (SELECT a.g, a.n FROM i a TIMESTAMP BY t {kind} i b TIMESTAMP BY t
                 ON a.n = b.n AND DATEDIFF(minute, a, b) BETWEEN 0 AND 1)
                 SELECT COUNT(*) AS n INTO sums FROM p GROUP BY TumblingWindow(second, 10); SELECT n INTO singles FROM p"
            )
        };
        let (inner, outer) = (sql("JOIN"), sql("LEFT JOIN"));
        let mut random = Random(88_172_645_463_325_252);
        for round in 0..40 {
            let both = if round % 2 == 0 { [&*inner, &outer] } else { [&*outer, &inner] };
            let [found, expected] = taken_over(&mut random, both, OrderPolicy::Adjust);
            assert_eq!(found, expected, "round {round}");
        }
    }
}
