//! Mistakes and the exact texts that tell of them.

use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect};
use millstream_query::dialect::output_names;
use millstream_query::{
    InputSchema, PlanErrorCode, check, explain, inputs_declared, inputs_missing, language_of, plan,
};

fn trades(name: &str) -> InputSchema {
    let column = |name: &str, column_type| ColumnDefinition::new(name, column_type);
    let columns = vec![
        column("symbol", ColumnType::Text),
        column("price", ColumnType::Double),
        column("shares", ColumnType::BigInt),
        column("time", ColumnType::Timestamp),
    ];
    InputSchema::new(name, Some(columns))
}

/// The mistakes of a query over an input `trades`, as they print.
pub fn mistakes(dialect: QueryDialect, sql: &str) -> Vec<String> {
    match plan(dialect, sql, &[trades("trades")]) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn stream_analytics() {
    for (sql, expected) in [
        ("SELECT symbl FROM trades", "error[Q104]: `trades` has no column `symbl`\n  at 1:8\n  try: symbol"),
        (
            "SELECT symbol, SUM(shares) FROM trades GROUP BY symbol",
            "error[Q109]: an aggregate without a window never has a result: the stream has no end\n  at 1:49\n  \
             try: GROUP BY …, TumblingWindow(minute, 1)",
        ),
        (
            "SELECT COUNT(*) FROM trades",
            "error[Q109]: an aggregate without a window never has a result: the stream has no end\n  at 1:8\n  \
             try: GROUP BY …, TumblingWindow(minute, 1)",
        ),
        (
            "SELECT price, COUNT(*) FROM trades GROUP BY symbol, TumblingWindow(minute, 1)",
            "error[Q110]: `price` is neither in GROUP BY nor inside an aggregate\n  at 1:8\n  \
             try: GROUP BY price, …, or MAX(price)",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY TumblingWindow(day, 8)",
            "error[Q111]: the window is 691200000 ms long; it may be 1 ms to 7 days (604800000 ms)\n  at 1:38\n  \
             try: a shorter window, and sums of its results further on",
        ),
        (
            "SELECT COUNT(*)\nFROM trades GROUP BY SlidingWindow(minute, 1, 2)",
            "error[Q111]: `SlidingWindow` is not given as a window\n  at 2:22\n  \
             try: SlidingWindow(minute, 1), or SlidingWindow(Duration(minute, 1))",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY SessionWindow(minute, 5)",
            "error[Q111]: `SessionWindow` is not given as a window\n  at 1:38\n  \
             try: SessionWindow(minute, 5, 60), or SessionWindow(Timeout(minute, 5), MaxDuration(hour, 1))",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY SessionWindow(day, 1, 8)",
            "error[Q111]: the maximum duration is 691200000 ms long; it may be 1 ms to 7 days (604800000 ms)\n  at 1:38\n  \
             try: a shorter window, and sums of its results further on",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY SessionWindow(minute, 1, 8) OVER (PARTITION BY symbl)",
            "error[Q104]: `trades` has no column `symbl`\n  at 1:85\n  try: symbol",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY Windows(TumblingWindow(minute, 1), symbol)",
            "error[Q111]: `Windows` takes windows, this is none\n  at 1:73\n  \
             try: Windows(Window('a', TumblingWindow(minute, 1)), Window('b', TumblingWindow(hour, 1)))",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY Windows(Windows(TumblingWindow(minute, 1)))",
            "error[Q111]: `Windows` stands inside `Windows`\n  at 1:46\n  \
             try: Windows(Window('a', TumblingWindow(minute, 1)), Window('b', TumblingWindow(hour, 1)))",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY Windows(Window('a', Tumbling(minute, 1)), Tumbling(minute, 2))",
            "error[Q111]: some windows of `Windows` have an id, this has none\n  at 1:80\n  \
             try: Window('id', …) around each of them, or around none",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY Windows(Window('a', Tumbling(minute, 1)), Window('A', Tumbling(hour, 1)))",
            "error[Q112]: two windows of `Windows` have the id `a`; case does not count\n  at 1:92\n  \
             try: another id",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY DATEADD(second, 1, System.Timestamp())",
            "error[Q109]: an aggregate without a window never has a result: the stream has no end\n  at 1:38\n  \
             try: GROUP BY …, TumblingWindow(minute, 1)",
        ),
        (
            "SELECT Collect() OVER (PARTITION BY symbol) FROM trades GROUP BY symbol, TumblingWindow(minute, 1)",
            "error[Q111]: COLLECT with OVER does not say how far it looks back\n  at 1:43\n  \
             try: Collect() OVER (PARTITION BY key LIMIT DURATION(minute, 5))",
        ),
        (
            "SELECT Collect() OVER (ORDER BY price LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q101]: COLLECT takes no ORDER BY\n  at 1:33\n  try: CollectTop(10) OVER (ORDER BY …)",
        ),
        (
            "SELECT TopOne() OVER (PARTITION BY symbol LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q111]: TOPONE needs OVER with ORDER BY and 1 to 16 columns\n  at 1:8\n  \
             try: TOPONE(…) OVER (ORDER BY column DESC)",
        ),
        (
            "SELECT TopOne() OVER (ORDER BY symbol) FROM trades GROUP BY TumblingWindow(minute, 1)",
            "error[Q108]: `symbol` is nvarchar(max), and ORDER BY takes bigint, float and datetime\n  at 1:32\n  \
             try: CAST(symbol AS float)",
        ),
        (
            "SELECT CollectTop(2) FROM trades GROUP BY TumblingWindow(minute, 1)",
            "error[Q111]: COLLECTTOP needs OVER with ORDER BY and 1 to 16 columns, and nothing else\n  at 1:8\n  \
             try: COLLECTTOP(…) OVER (ORDER BY column DESC)",
        ),
        (
            "SELECT Percentile_Cont(95) OVER (ORDER BY price) FROM trades GROUP BY TumblingWindow(minute, 1)",
            "error[Q101]: PERCENTILE_CONT takes a number from 0 to 1\n  at 1:8\n  \
             try: PERCENTILE_CONT(0.95) OVER (ORDER BY x)",
        ),
        (
            "SELECT LAG(price) OVER (PARTITION BY symbol) FROM trades",
            "error[Q111]: `LAG` does not say how far it looks back\n  at 1:8\n  \
             try: LAG(…) OVER (PARTITION BY key LIMIT DURATION(minute, 5))",
        ),
        (
            "SELECT LAG(price, 0) OVER (LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q111]: LAG takes a whole number of rows, 1 to 10000\n  at 1:19",
        ),
        (
            "SELECT LAG(price, 1, symbol) OVER (LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q108]: expected a float, found `symbol`, which is nvarchar(max)\n  at 1:22\n  try: CAST(symbol AS float)",
        ),
        (
            "SELECT SUM(price) OVER (LIMIT DURATION(day, 8)) FROM trades",
            "error[Q111]: the duration is 691200000 ms long; it may be 1 ms to 7 days (604800000 ms)\n  at 1:31\n  \
             try: a shorter window, and sums of its results further on",
        ),
        (
            "SELECT LAG(ISFIRST(minute, 1)) OVER (LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q101]: ISFIRST looks back to other rows and can stand neither inside such a function nor in TIMESTAMP BY\n  \
             at 1:12\n  try: a step of its own: WITH step AS (SELECT …)",
        ),
        (
            "SELECT LAG(price) OVER (ORDER BY time LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q101]: LAG goes by the time of events and takes no ORDER BY\n  at 1:34",
        ),
        (
            "SELECT ISFIRST(minute, 5) OVER (LIMIT DURATION(minute, 5)) FROM trades",
            "error[Q101]: ISFIRST looks at its interval and takes no LIMIT DURATION\n  at 1:39",
        ),
        (
            "SELECT LAG(price) OVER (LIMIT DURATION(minute, 5)), COUNT(*) FROM trades GROUP BY TumblingWindow(minute, 1)",
            "error[Q110]: `LAG(price) OVER (LIMIT DURATION(minute, 5))` is neither in GROUP BY nor inside an aggregate\n  at 1:8\n  \
             try: GROUP BY LAG(price) OVER (LIMIT DURATION(minute, 5)), …, or MAX(LAG(price) OVER (LIMIT DURATION(minute, 5)))",
        ),
        (
            "SELECT UPER(symbol) FROM trades",
            "error[Q106]: Stream Analytics has no function `UPER`\n  at 1:8\n  try: UPPER",
        ),
        ("SELECT * FROM trade", "error[Q103]: there is no stream or input `trade`\n  at 1:15\n  try: trades"),
        (
            "SELECT symbol FROM trades WHERE symbol > 3",
            "error[Q108]: a comparison of nvarchar(max) and bigint: `symbol` and `3` are of different types\n  at 1:33\n  \
             try: declare `symbol` as bigint, or TRY_CAST(symbol AS bigint)",
        ),
        (
            "SELECT SUM(symbol) FROM trades GROUP BY TumblingWindow(minute, 1)",
            "error[Q108]: expected a float, found `symbol`, which is nvarchar(max)\n  at 1:12\n  \
             try: CAST(symbol AS float)",
        ),
        (
            "SELECT * FROM trades TIMESTAMP BY shares",
            "error[Q108]: TIMESTAMP BY needs a datetime, `shares` is bigint\n  at 1:35\n  \
             try: DATEADD(millisecond, shares, '1970-01-01T00:00:00Z')",
        ),
        (
            "SELECT * INTO a FROM trades TIMESTAMP BY time SELECT * INTO b FROM trades",
            "error[Q116]: `trades` is read by two different times\n  at 1:68\n  \
             try: the same TIMESTAMP BY behind each FROM of this input, or none",
        ),
        ("SELECT symbol trades", "error[Q101]: expected `FROM`, found the end of the text\n  at 1:21"),
        (
            "SELECT symbol FROM trades WHERE",
            "error[Q101]: expected an expression, found the end of the text\n  at 1:32",
        ),
        ("", "error[Q117]: the query is empty\n  at 1:1\n  try: SELECT * INTO out FROM input"),
        (
            "SELECT symbol FROM trades WHERE COUNT(*) > 1",
            "error[Q110]: the aggregate COUNT cannot stand here: here are single rows, not groups\n  at 1:33\n  \
             try: conditions on aggregates go into HAVING; an aggregate inside an aggregate needs a step of its own",
        ),
    ] {
        assert_eq!(mistakes(QueryDialect::StreamAnalytics, sql), [expected], "{sql}");
    }
}

#[test]
fn kinesis() {
    let pump = |select: &str| {
        format!("CREATE STREAM \"OUT\" (S VARCHAR(8), N BIGINT);\nCREATE PUMP P AS INSERT INTO \"OUT\" {select}")
    };
    for (sql, expected) in [
        (
            pump("SELECT STREAM symbol, 1 FROM \"trades\""),
            "error[Q104]: `trades` has no column `SYMBOL`\n  at 2:50\n  \
             try: \"symbol\" (a name without quotes means its upper case, `SYMBOL`)",
        ),
        (
            pump("SELECT STREAM \"symbol\", 1 FROM trades"),
            "error[Q103]: there is no stream or input `TRADES`\n  at 2:67\n  try: \"trades\"",
        ),
        (
            pump("SELECT STREAM \"symbol\", COUNT(*) FROM \"trades\" GROUP BY \"symbol\""),
            "error[Q109]: an aggregate without a window never has a result: the stream has no end\n  at 2:92\n  \
             try: GROUP BY …, STEP(\"SOURCE_SQL_STREAM_001\".ROWTIME BY INTERVAL '60' SECOND)",
        ),
        (
            pump(
                "SELECT STREAM \"symbol\", COUNT(*) FROM \"trades\" WINDOWED BY STAGGER (PARTITION BY \"symbol\" RANGE 5)",
            ),
            "error[Q101]: expected an interval, as INTERVAL '1' MINUTE, found `5`\n  at 2:132",
        ),
        (
            pump(
                "SELECT STREAM \"symbol\", COUNT(*) FROM \"trades\"
                  WINDOWED BY STAGGER (RANGE INTERVAL '1' MINUTE) GROUP BY \"symbol\"",
            ),
            "error[Q111]: GROUP BY beside WINDOWED BY STAGGER, whose PARTITION BY says what rows are grouped by\n  at 3:76\n  \
             try: one of the two",
        ),
        (
            pump("SELECT STREAM \"symbol\", COUNT(*) OVER W2 FROM \"trades\" WINDOW W1 AS (ROWS 3 PRECEDING)"),
            "error[Q111]: there is no window `W2`\n  at 2:74\n  try: W1",
        ),
        (
            pump("SELECT STREAM \"symbol\", COUNT(*) OVER (RANGE UNBOUNDED PRECEDING) FROM \"trades\""),
            "error[Q111]: a window goes a known way back from the current row, neither without bound nor forward\n  at 2:81\n  \
             try: RANGE INTERVAL '1' MINUTE PRECEDING, or ROWS 10 PRECEDING",
        ),
        (
            pump("SELECT STREAM \"symbol\", COUNT(*) OVER (ROWS 0 PRECEDING) FROM \"trades\""),
            "error[Q111]: the window goes 0 rows back; it may be 1 to 10000\n  at 2:75\n  \
             try: a window of time: RANGE INTERVAL …",
        ),
        (
            pump("SELECT STREAM SUM(\"shares\") OVER (ROWS 1 PRECEDING), COUNT(*) FROM \"trades\""),
            "error[Q111]: `COUNT(*)` has no OVER beside a function that has\n  at 2:89\n  try: OVER behind each of them",
        ),
        (
            pump("SELECT STREAM \"symbol\", LAG(\"shares\", 0) OVER (ROWS 1 PRECEDING) FROM \"trades\""),
            "error[Q111]: LAG takes a whole number of rows, 1 to 10000\n  at 2:74",
        ),
        (
            pump("SELECT STREAM \"symbol\", LAST_VALUE(\"shares\") FROM \"trades\""),
            "error[Q111]: LAST_VALUE has no OVER, which says how far it looks back\n  at 2:60\n  \
             try: LAST_VALUE(…) OVER (PARTITION BY key RANGE INTERVAL '1' MINUTE PRECEDING)",
        ),
        (
            pump("SELECT STREAM \"symbol\", 1 FROM \"trades\" WHERE LAG(\"shares\") OVER (ROWS 1 PRECEDING) > 1"),
            "error[Q101]: LAG looks back to other rows and can stand neither inside such a function nor in WHERE\n  at 2:82\n  \
             try: a stream of its own, and a pump that reads it",
        ),
        (
            pump(
                "SELECT STREAM A.\"symbol\", 1 FROM \"trades\" AS A JOIN \"trades\" AS B ON A.\"symbol\" = B.\"symbol\"",
            ),
            "error[Q109]: a join without bounds in time would keep all rows for ever: the streams have no end\n  at 2:83\n  \
             try: JOIN trades OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS …",
        ),
        (
            pump(
                "SELECT STREAM A.\"symbol\", 1 FROM \"trades\" OVER (ROWS 5 PRECEDING) AS A JOIN \"trades\" AS B ON TRUE",
            ),
            "error[Q107]: not supported yet: windows of rows or with PARTITION BY on a source\n  at 2:84\n  \
             try: OVER (RANGE INTERVAL '1' MINUTE PRECEDING)",
        ),
        (
            pump("SELECT STREAM \"symbol\", 1 FROM \"trades\" OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS A"),
            "error[Q111]: a window on a source says which of its rows are joined, and nothing is\n  at 2:123\n  \
             try: OVER behind an aggregate, or JOIN",
        ),
        (
            pump("SELECT STREAM \"symbol\" FROM \"trades\""),
            "error[Q113]: the stream takes 2 values, the SELECT has 1 (symbol)\n  at 2:36",
        ),
        (
            pump("SELECT STREAM \"time\", 1 FROM \"trades\""),
            "error[Q108]: the column is declared VARCHAR, but `\"time\"` is TIMESTAMP\n  at 2:50\n  \
             try: CAST(\"time\" AS VARCHAR)",
        ),
        (
            pump("SELECT STREAM \"symbol\", 1 FROM \"OUT\""),
            "error[Q114]: the stream `OUT` is pumped into itself: OUT\n  at 2:67\n  try: pump into another stream",
        ),
        (
            pump("SELECT STREAM \"symbol\", 1 FROM \"trades\" WHERE \"time\" = '2020-01-01'"),
            "error[Q108]: a comparison of TIMESTAMP and VARCHAR: `\"time\"` and `'2020-01-01'` are of different types\n  \
             at 2:82\n  try: CAST('2020-01-01' AS TIMESTAMP)",
        ),
        (
            "SELECT STREAM * FROM \"trades\"".to_owned(),
            "error[Q101]: expected `CREATE`, found `SELECT`\n  at 1:1\n  try: a query's rows go somewhere: CREATE OR \
             REPLACE STREAM \"OUT\" (…); CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM …",
        ),
        (
            "CREATE STREAM A (X BIGNT)".to_owned(),
            "error[Q108]: `BIGNT` is not a type this engine computes with\n  at 1:20\n  \
             try: INTEGER, BIGINT, REAL, DOUBLE, DECIMAL, VARCHAR(n), BOOLEAN or TIMESTAMP",
        ),
        (
            pump("SELECT STREAM RANDOM_CUT_FOREST(\"price\"), 1 FROM \"trades\""),
            "error[Q101]: RANDOM_CUT_FOREST gives rows, not a value\n  at 2:50\n  \
             try: FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM * FROM s), …))",
        ),
    ] {
        assert_eq!(mistakes(QueryDialect::Kinesis, &sql), [expected], "{sql}");
    }
}

#[test]
fn all_mistakes_are_told_in_the_order_of_their_places() {
    let sql = "SELECT symbl, pric FROM trades WHERE shares = 'x'\nSELECT * INTO b FROM nothing";
    let errors = plan(QueryDialect::StreamAnalytics, sql, &[trades("trades")]).unwrap_err();
    let places: Vec<(u64, u64)> = errors.iter().map(|error| (error.line, error.column)).collect();
    assert_eq!(places, [(1, 8), (1, 15), (1, 38), (2, 22)]);
}

/// A statement that cannot be read hides none of the others, and what it would have defined is not missing.
#[test]
fn mistakes_of_all_statements_are_told() {
    let places = |dialect, sql: &str| {
        let errors = plan(dialect, sql, &[trades("trades")]).unwrap_err();
        errors.iter().map(|error| (error.code.as_str(), error.line, error.column)).collect::<Vec<_>>()
    };
    let sql = "CREATE OR REPLACE STREM \"A\" (s VARCHAR(8));
        CREATE OR REPLACE STREAM \"B\" (\"n\" INTEGER);
        CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"B\" SELECT STREAM \"share\" FROM \"trades\";
        CREATE OR REPLACE PUMP \"Q\" AS INSERT INTO \"A\" SELECT STREAM \"symbol\" FROM \"trades\" WHERE;";
    assert_eq!(places(QueryDialect::Kinesis, sql), [("Q101", 1, 19), ("Q104", 3, 69), ("Q101", 4, 97)]);
    let sql =
        "WITH a AS (SELECT EventId(*) OVER (LIMIT DURATION(minute, 1)) AS before, symbl, symbol + 1 AS s FROM trades)
        SELECT before INTO x FROM a; SELECT nothing INTO y FROM trades";
    assert_eq!(
        places(QueryDialect::StreamAnalytics, sql).iter().map(|(code, ..)| *code).collect::<Vec<_>>(),
        ["Q107", "Q104", "Q108", "Q104"],
    );
}

#[test]
fn a_source_that_has_another_name_is_not_known_by_its_own() {
    let sql = |list: &str| format!("SELECT {list} INTO o FROM a b JOIN b a ON DATEDIFF(second, a, b) = 0");
    let column = |name: &str| ColumnDefinition::new(name, ColumnType::BigInt);
    let input = |name: &str, columns| InputSchema::new(name, columns);
    let inputs = [input("a", Some(vec![column("x")])), input("b", Some(vec![column("y")]))];
    assert!(plan(QueryDialect::StreamAnalytics, &sql("a.y, b.x"), &inputs).is_ok());
    let errors = plan(QueryDialect::StreamAnalytics, &sql("a.x"), &inputs).unwrap_err();
    assert_eq!(errors[0].code, PlanErrorCode::UnknownColumn);
    let same = "SELECT A.y INTO o FROM b A JOIN b a ON DATEDIFF(second, A, a) = 0";
    let errors = plan(QueryDialect::StreamAnalytics, same, &inputs).unwrap_err();
    assert_eq!(errors[0].code, PlanErrorCode::Duplicate);
}

#[test]
fn a_check_needs_no_columns_and_a_plan_does() {
    let unknown = [InputSchema::new("trades", None)];
    let sql =
        "SELECT symbol, SUM(shares) AS s FROM trades TIMESTAMP BY time GROUP BY symbol, TumblingWindow(minute, 1)";
    assert_eq!(check(QueryDialect::StreamAnalytics, sql, &unknown), []);
    let sql = "SELECT LAG(a, 1, 0) OVER (PARTITION BY b LIMIT DURATION(minute, 1) WHEN c > 1) AS d, ISFIRST(day, 1) AS e FROM trades;
        SELECT TopOne() OVER (ORDER BY a) AS t, Collect(b) AS c, Percentile_Disc(0.5) OVER (ORDER BY a) AS p INTO x FROM trades
        GROUP BY TumblingWindow(minute, 1)";
    assert_eq!(check(QueryDialect::StreamAnalytics, sql, &unknown), []);
    let errors = plan(QueryDialect::StreamAnalytics, sql, &unknown).unwrap_err();
    assert_eq!(errors[0].code, PlanErrorCode::ColumnsUnknown);
    assert_eq!(check(QueryDialect::StreamAnalytics, "SELECT UPER(symbol) FROM trades", &unknown).len(), 1);
}

#[test]
fn a_text_tells_its_language_and_what_it_reads() {
    let (azure, amazon) = (QueryDialect::StreamAnalytics, QueryDialect::Kinesis);
    for (sql, language) in [
        ("-- CREATE STREAM o\nSELECT [a] FROM b", azure),
        ("CREATE TABLE stream (pump bigint); SELECT pump FROM stream", azure),
        ("create or replace pump p as insert into o select stream 1 from s", amazon),
        ("/* results */ CREATE STREAM \"o\" (a INTEGER);", amazon),
        ("", azure),
    ] {
        assert_eq!(language_of(sql), language, "{sql}");
    }
    let sql = "CREATE TABLE d (x bigint); WITH a AS (SELECT x FROM b)
        SELECT a.x FROM a JOIN c ON DATEDIFF(second, a, c) = 0 UNION SELECT x FROM d";
    assert_eq!(inputs_missing(azure, sql, &[]), ["d", "b", "c"]);
    assert_eq!(inputs_missing(azure, sql, &[trades("C")]), ["d", "b"]);
    assert_eq!(inputs_declared(azure, sql), ["d"]);
    let sql = "CREATE STREAM o (a INTEGER); CREATE PUMP p AS INSERT INTO o SELECT STREAM 1 FROM \"s\";
        CREATE PUMP q AS INSERT INTO nowhere SELECT STREAM 1 FROM o";
    assert_eq!(inputs_missing(amazon, sql, &[]), ["s"], "what is written to is no input");
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes: Vec<&str> = PlanErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_plan_of_a_join_explains_itself() {
    let sql = "SELECT a.symbol INTO one FROM a TIMESTAMP BY time JOIN b TIMESTAMP BY time \
               ON a.symbol = b.symbol AND DATEDIFF(second, a, b) BETWEEN 0 AND 15; SELECT price INTO two FROM b TIMESTAMP BY time";
    let program = plan(QueryDialect::StreamAnalytics, sql, &[trades("a"), trades("b")]).unwrap();
    let order = EventOrder { late_tolerance_ms: EventOrder::LATE_WITHOUT_LIMIT, ..EventOrder::default() };
    let told = explain(&program, &order);
    for said in [
        "      ├─ source a: symbol nvarchar(max), time datetime\n      └─ source b: ",
        "after a change: made again of the records of the last 15999 ms",
        "late: never, it may come any time after",
        "does not move while nothing arrives",
        "the least of all shards of all sources",
        "2,000,000 rows of a join",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
}

#[test]
fn a_plan_explains_itself() {
    let sql = "SELECT symbol, SUM(shares) AS total INTO out FROM trades TIMESTAMP BY time WHERE price > 1 \
               GROUP BY symbol, HoppingWindow(second, 10, 5)";
    let program = plan(QueryDialect::StreamAnalytics, sql, &[trades("trades")]).unwrap();
    let expected = "\
output out: symbol nvarchar(max), total bigint
└─ step 0: hopping windows of 10 s each 5 s (start, end]
   │  where price > 1
   │  group by symbol: SUM(shares)
   │  symbol = symbol, total = SUM(shares)
   │  state: 1 value(s) for each key and window, 2 windows at a time, until the watermark passes the window's end
   │  after a change: open windows are made again of the records of the last 10 s
   └─ source trades: symbol nvarchar(max), price float, shares bigint, time datetime

time of trades
  of an event: time
  early, more than 5 min ahead of its arrival: dropped
  late, more than 5 s behind its arrival: its time becomes the edge
  out of order, more than 0 s behind others of its shard: its time becomes the edge
  watermark of a shard: its latest time less 0 s; the clock's time less 5 s while nothing arrives
watermark of the query: the least of all shards; one that is behind holds up all

state, at most; beyond it the query stops and says so
  2,000,000 groups of windows in a step
  all of it: 1 GiB in a checkpoint, of which only what changed is written
after a change it goes on where it was: positions and watermark stay, what was given is not given again
";
    assert_eq!(explain(&program, &EventOrder::default()), expected);
    let names: Vec<&String> = program.output_schema("OUT").unwrap().fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["symbol", "total"]);
}

#[test]
fn only_the_columns_used_are_read() {
    let program =
        plan(QueryDialect::StreamAnalytics, "SELECT shares FROM trades WHERE price > 1", &[trades("trades")]).unwrap();
    let names: Vec<&str> = program.sources[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["price", "shares"]);
}

#[test]
fn outputs_are_known_before_columns_are() {
    let sql = "WITH s AS (SELECT a FROM x) SELECT * INTO One FROM s SELECT * INTO one FROM s SELECT * FROM s";
    assert_eq!(output_names(QueryDialect::StreamAnalytics, sql, &[]), ["One", "output"]);
    let sql =
        "CREATE STREAM \"Out\" (A BIGINT); CREATE STREAM b; CREATE PUMP p AS INSERT INTO b SELECT STREAM a FROM x";
    assert_eq!(output_names(QueryDialect::Kinesis, sql, &[]), ["Out", "B"]);
}
