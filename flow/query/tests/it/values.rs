//! Records, arrays and values without a fixed type from records to results: what fits, what does not, and how much.

use millstream_catalog::{EventOrder, QueryDialect, QueryFunction, RecordFormat};
use millstream_query::{InputSchema, TRIAL_ROWS_MAX, TrialAsk, TrialInput, plan, trial};

/// What a query over a sample gives: by output its rows, and kinds and details of what is none.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) outputs: Vec<(String, Vec<String>)>,
    pub(crate) errors: Vec<(String, String)>,
}

fn run(sql: &str, sample: &str) -> Found {
    run_as(RecordFormat::Json, &[], sql, sample)
}

/// A query with functions of its own over a sample.
pub(crate) fn run_as(format: RecordFormat, functions: &[QueryFunction], sql: &str, sample: &str) -> Found {
    let input = TrialInput { name: "input".into(), format, sample: sample.into(), ..TrialInput::default() };
    let ask = TrialAsk {
        dialect: QueryDialect::StreamAnalytics,
        sql: sql.to_owned(),
        functions: functions.to_vec(),
        inputs: vec![input],
        order: EventOrder::default(),
        now: 1_772_600_767_000,
        rows_max: TRIAL_ROWS_MAX,
    };
    match trial(&ask) {
        Ok(found) => Found {
            outputs: found
                .outputs
                .into_iter()
                .map(|output| (output.name, output.rows.into_iter().map(|row| row.text).collect()))
                .collect(),
            errors: found.errors.into_iter().map(|error| (error.kind.to_owned(), error.detail)).collect(),
        },
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// The rows of its only output.
fn rows(sql: &str, sample: &str) -> Vec<String> {
    let mut found = run(sql, sample);
    assert_eq!(found.errors, [], "{sql}");
    found.outputs.remove(0).1
}

#[test]
fn results_hold_values_as_json() {
    let sample = r#"{"id":1,"r":{"b":[1,2.5,"xä\"y"],"a":null},"mixed":"7","e":{}}
        {"id":2,"r":null,"mixed":7}"#;
    let expected = [
        r#"{"id":1,"r":{"b":[1,2.5,"xä\"y"],"a":null},"mixed":"7","e":{}}"#,
        r#"{"id":2,"r":null,"mixed":7,"e":null}"#,
    ];
    assert_eq!(rows("SELECT * INTO out FROM input", sample), expected);
    let inside = rows("SELECT r.b, r.c, r.a INTO out FROM input WHERE id = 1", sample);
    assert_eq!(inside, [r#"{"b":[1,2.5,"xä\"y"],"c":null,"a":null}"#]);
}

#[test]
fn what_is_named_inside_of_a_record_is_a_column_of_its_own() {
    let sample = r#"{"r":{"n":1,"t":"2026-01-01T00:00:00Z"}} {"r":{"n":2,"t":"2026-01-01T00:00:01Z"}}"#;
    // As columns of the record they have types; taken out of the record's text, the time would be a text.
    let types = rows(
        "SELECT GetType(r.t) AS column, GetType(GetRecordPropertyValue(r, 't')) AS inside INTO out FROM input",
        sample,
    );
    assert_eq!(types[0], r#"{"column":"datetime","inside":"nvarchar(max)"}"#);
    assert_eq!(rows("SELECT r.n + 1 AS n INTO out FROM input", sample), [r#"{"n":2}"#, r#"{"n":3}"#]);
    let fields = rows("SELECT r.* INTO out FROM input WHERE r.n = 2", sample);
    assert_eq!(fields, [r#"{"n":2,"t":"2026-01-01T00:00:01.0000000Z"}"#]);
}

#[test]
fn a_declared_input_takes_what_fits_and_tells_of_the_rest() {
    let sql = "CREATE TABLE input (x bigint, f float, s nvarchar(max), b bit, t datetime, r record, a array); \
               SELECT x INTO out FROM input";
    for (record, fits) in [
        (r#"{"x":1,"f":1,"s":"a","b":true,"t":"2026-01-01T00:00:00Z","r":{},"a":[1]}"#, true),
        (r#"{"x":1}"#, true),
        (r#"{"x":1,"f":null,"s":null,"b":null,"t":null,"r":null,"a":null,"more":[]}"#, true),
        (r#"{"x":"abc"}"#, false),
        (r#"{"x":2.5}"#, false),
        // Whether the query reads it or not.
        (r#"{"x":1,"f":"1"}"#, false),
        (r#"{"x":1,"s":1}"#, false),
        (r#"{"x":1,"s":{}}"#, false),
        (r#"{"x":1,"b":1}"#, false),
        (r#"{"x":1,"t":"soon"}"#, false),
        (r#"{"x":1,"r":[]}"#, false),
        (r#"{"x":1,"r":"{}"}"#, false),
        (r#"{"x":1,"a":{}}"#, false),
    ] {
        let found = run(sql, record);
        assert_eq!((found.outputs[0].1.len(), found.errors.len()), (usize::from(fits), usize::from(!fits)), "{record}");
        assert!(found.errors.iter().all(|(kind, _)| kind == "unparsable"), "{record}");
    }
    let csv = RecordFormat::Csv { delimiter: ",".into() };
    let found = run_as(
        csv,
        &[],
        "CREATE TABLE input (x bigint, s nvarchar(max)) SELECT * INTO out FROM input",
        "s,x\n7,1\na,b\n",
    );
    assert_eq!((found.outputs[0].1.clone(), found.errors.len()), (vec![r#"{"x":1,"s":"7"}"#.to_owned()], 1));
}

#[test]
fn mistakes_of_declarations_and_applies_are_told() {
    let input = InputSchema::new("input", None);
    for (sql, expected) in [
        ("CREATE TABLE other (x bigint) SELECT 1 FROM input", "error[Q103]: there is no stream or input `other`"),
        ("CREATE TABLE input (x integer) SELECT x FROM input", "`INTEGER` is not a type"),
        ("CREATE TABLE input (x bigint, X float) SELECT x FROM input", "the column `X` is declared twice"),
        (
            "CREATE TABLE input (x bigint) CREATE TABLE input (y bigint) SELECT x FROM input",
            "`input` are declared twice",
        ),
        ("CREATE TABLE input (x bigint) SELECT y FROM input", "`input` has no column `y`"),
        ("CREATE VIEW v AS SELECT 1", "not supported yet: CREATE VIEW"),
        ("CREATE TABLE input (x bigint) SELECT 1 FROM input CROSS APPLY GetArrayElements(x) AS e", "it is bigint"),
        ("SELECT 1 FROM input CROSS APPLY udf.rows(x) AS e", "expected `(`"),
        ("SELECT 1 FROM input CROSS APPLY Rows(x) AS e", "`Rows` cannot be applied"),
        ("SELECT GetArrayElements(x) FROM input", "GETARRAYELEMENTS gives rows, not a value"),
        ("CREATE TABLE input (r record) SELECT r.* FROM input", "not supported yet: `r.*` of a record"),
        ("CREATE TABLE input (x bigint) SELECT GetArrayLength(x) FROM input", "expected a record or an array"),
        ("CREATE TABLE input (x bigint) SELECT CAST(x AS array) FROM input", "a bigint is no array"),
    ] {
        let errors = plan(QueryDialect::StreamAnalytics, sql, std::slice::from_ref(&input)).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|error| error.contains(expected)), "{sql}: {told:?}");
    }
}

#[test]
fn one_record_makes_no_more_rows_than_it_is_long() {
    let sql = "SELECT text, e.ArrayValue INTO out FROM input CROSS APPLY GetArrayElements(a) AS e";
    let elements = vec!["1"; 20_000].join(",");
    let small = format!(r#"{{"text":"x","a":[{elements}]}}"#);
    assert_eq!(rows(sql, &small).len(), 20_000);
    // The same rows with a text of 2,000 bytes each are more than one record may become; others are not disturbed.
    let large = format!(r#"{{"text":"{}","a":[{elements}]}} {{"text":"y","a":[2]}}"#, "x".repeat(2_000));
    let found = run(sql, &large);
    assert_eq!(found.outputs[0].1, [r#"{"text":"y","ArrayValue":2}"#]);
    assert_eq!(found.errors.len(), 1);
    assert!(found.errors[0].1.contains("APPLY would make 20000 rows of 2000 bytes"), "{:?}", found.errors);
    // What nobody reads is not repeated.
    assert_eq!(
        rows("SELECT e.ArrayIndex INTO out FROM input CROSS APPLY GetArrayElements(a) AS e", &large).len(),
        20_001
    );
}

#[test]
fn independent_applies_do_not_multiply_without_end() {
    let ones = vec!["1"; 1_000].join(",");
    let sample = format!(r#"{{"a":[{ones}],"b":[{ones}]}} {{"a":[1],"b":[2,3]}}"#);
    let both = "FROM input CROSS APPLY GetArrayElements(a) AS x CROSS APPLY GetArrayElements(b) AS y";
    let inner = "SELECT x.ArrayIndex AS i, b FROM input CROSS APPLY GetArrayElements(a) AS x";
    for sql in [
        format!("SELECT x.ArrayIndex AS i, y.ArrayIndex AS k INTO out {both}"),
        format!(
            "WITH inner AS ({inner}) SELECT i, y.ArrayIndex AS k INTO out FROM inner CROSS APPLY GetArrayElements(b) AS y"
        ),
    ] {
        let found = run(&sql, &sample);
        assert_eq!(found.outputs[0].1.len(), 65_536 - 1_000 + 2, "{sql}");
        assert!(
            !found.errors.is_empty()
                && found.errors.iter().all(|(kind, told)| kind == "failed" && told.contains("makes too many rows"))
        );
    }
    // Parts of parts are never more than the record has bytes.
    let nested = vec![format!("[{}]", vec!["1"; 400].join(",")); 250].join(",");
    let sql = "SELECT y.ArrayValue AS v INTO out FROM input CROSS APPLY GetArrayElements(a) AS x \
               CROSS APPLY GetArrayElements(x.ArrayValue) AS y";
    assert_eq!(rows(sql, &format!(r#"{{"a":[{nested}]}}"#)).len(), 100_000);
}

#[test]
fn nested_too_deep_is_no_row() {
    let sql = "CREATE TABLE input (a array) SELECT a INTO out FROM input";
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(run(sql, &nested(50)).errors, []);
    assert_eq!(run(sql, &nested(100)).outputs[0].1.len(), 0);
}

#[test]
fn rows_of_an_apply_keep_their_time_and_fail_alone() {
    let sample = r#"{"a":[1,"x",3],"EventEnqueuedUtcTime":"2026-03-04T05:06:07Z"}
        {"a":[5],"EventEnqueuedUtcTime":"2026-03-04T05:07:10Z"}"#;
    let sql = "SELECT System.Timestamp() AS t, e.ArrayValue * 2 AS v INTO out \
               FROM input CROSS APPLY GetArrayElements(a) AS e";
    let found = run(sql, sample);
    let row = |time: &str, value: u8| format!(r#"{{"t":"2026-03-04T05:{time}.0000000Z","v":{value}}}"#);
    assert_eq!(found.outputs[0].1, [row("06:07", 2), row("06:07", 6), row("07:10", 10)]);
    assert_eq!(found.errors.len(), 1);
    assert!(found.errors[0].1.contains("expected numbers on both sides of `*`"), "{:?}", found.errors);
    let sums = "SELECT System.Timestamp() AS t, COUNT(*) AS v INTO out \
                FROM input CROSS APPLY GetArrayElements(a) AS e GROUP BY TumblingWindow(minute, 1)";
    assert_eq!(run(sums, sample).outputs[0].1, [row("07:00", 3), row("08:00", 1)]);
}

#[test]
fn what_is_known_of_events_is_not_a_field_of_theirs() {
    let metadata = |name: &str| format!("GetMetadataPropertyValue(input, '[EventHub].[{name}]')");
    let sample = r#"{"PartitionId":3,"EventEnqueuedUtcTime":"2026-03-04T05:06:07Z","SequenceNumber":"mine"}"#;
    let sql = format!(
        "SELECT SequenceNumber AS field, {} AS number, {} AS shard, {} AS at, {} AS [key] INTO out FROM input",
        metadata("SequenceNumber"),
        metadata("PartitionId"),
        metadata("EventEnqueuedUtcTime"),
        metadata("PartitionKey")
    );
    let row = r#"{"field":"mine","number":0,"shard":3,"at":"2026-03-04T05:06:07.0000000Z","key":null}"#;
    assert_eq!(rows(&sql, sample), [row]);
    let star = rows("SELECT * INTO out FROM input", sample);
    assert!(!star[0].contains('$'), "{star:?}");
    for other in ["'EventHub'", "'[User].[x]'", "'EventId'", "'[EventHub].[Publisher]'"] {
        let input = InputSchema { name: "input".into(), columns: Some(Vec::new()), hub: true, reference: false };
        let sql = format!("SELECT GetMetadataPropertyValue(input, {other}) AS v FROM input");
        let errors = plan(QueryDialect::StreamAnalytics, &sql, &[input]).unwrap_err();
        assert!(
            errors[0].to_string().contains("error[Q107]: not supported yet: the property"),
            "{other}: {}",
            errors[0]
        );
    }
}

#[test]
fn integers_beyond_floating_point_stay_apart() {
    let sample = r#"{"id":9007199254740992,"l":[9007199254740993]}"#;
    let sql = "SELECT GetArrayElement(l, 0) = id AS same, GetArrayElement(l, 0) > id AS more, \
               GetArrayElement(l, 0) IN (1, 9007199254740992) AS listed, GetArrayElement(l, 0) NOT IN (9007199254740993) AS no, \
               id IN (GetArrayElement(l, 0)) AS back, id + 1 IN (7, GetArrayElement(l, 0)) AS next, \
               CASE GetArrayElement(l, 0) WHEN 9007199254740992 THEN 'wrong' WHEN 9007199254740993 THEN 'right' END AS [case], \
               NULLIF(GetArrayElement(l, 0), 9007199254740992) AS kept INTO out FROM input";
    let expected = r#"{"same":false,"more":true,"listed":false,"no":false,"back":false,"next":true,"case":"right","kept":9007199254740993}"#;
    assert_eq!(rows(sql, sample), [expected]);
    let many = (0..10_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let sql = format!("SELECT GetArrayElement(l, 0) IN ({many}) AS listed INTO out FROM input");
    assert_eq!(rows(&sql, sample), [r#"{"listed":false}"#]);
}

#[test]
fn keys_of_joins_are_equal_as_values_are() {
    let pairs = |on: &str, sample: &str| {
        let sql = format!(
            "SELECT a.i AS a, b.i AS b INTO out FROM input a TIMESTAMP BY t JOIN input b TIMESTAMP BY t \
             ON {on} AND DATEDIFF(second, a, b) BETWEEN 0 AND 0"
        );
        rows(&sql, sample)
    };
    // Each value in two spellings; records and arrays are equal to nothing, not to themselves either.
    let values = ["1e18", "1000000000000000000", r#""a""#, r#""\u0061""#, "[1]", "[1]", r#"{"b":1}"#, r#"{"b":1}"#];
    let row = |(i, value): (usize, &&str)| format!(r#"{{"i":{i},"v":{value},"t":"2026-03-04T05:06:07Z"}}"#);
    let sample = values.iter().enumerate().map(row).collect::<Vec<_>>().join("\n");
    let mut found = pairs("a.v = b.v", &sample);
    found.sort();
    let expected: Vec<String> = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3)]
        .iter()
        .map(|(a, b)| format!(r#"{{"a":{a},"b":{b}}}"#))
        .collect();
    assert_eq!(found, expected);
    let groups = "SELECT COUNT(*) AS n INTO out FROM input WHERE i < 2 GROUP BY v, TumblingWindow(minute, 1)";
    assert_eq!(rows(groups, &sample), [r#"{"n":2}"#]);
    // A time beside a text of one, and an integer that floating point does not hold.
    let sample = r#"{"i":0,"r":{"t":["2026-03-04T05:06:07Z"],"n":[9007199254740993]},"n":9007199254740993,"t":"2026-03-04T05:06:07Z"}
        {"i":1,"r":[],"n":9007199254740992,"t":"2026-03-04T05:06:07Z"}"#;
    assert_eq!(pairs("a.t = GetArrayElement(GetRecordPropertyValue(b.r, 't'), 0) AND a.i = b.i", sample).len(), 1);
    assert_eq!(pairs("a.n = GetArrayElement(GetRecordPropertyValue(b.r, 'n'), 0)", sample), [r#"{"a":0,"b":0}"#]);
}

#[test]
fn rows_of_applies_are_bounded_in_bytes_too() {
    let ones = |count: usize| vec!["1"; count].join(",");
    // What is carried along an APPLY behind another one is there for each of its rows: 10,000 times 8,000 bytes.
    let sample = format!(r#"{{"text":"{}","a":[{}]}} {{"text":"y","a":[1,2]}}"#, "x".repeat(8_000), ones(100));
    let sql = "SELECT COUNT(*) AS n INTO out FROM input CROSS APPLY GetArrayElements(a) AS x \
               CROSS APPLY GetArrayElements(a) AS y WHERE text <> '' GROUP BY LEN(text), TumblingWindow(day, 1)";
    let found = run(sql, &sample);
    let mut counts: Vec<usize> = found.outputs[0].1.iter().map(|row| row[5..row.len() - 1].parse().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts[0], 4);
    assert!((1_000..2_100).contains(&counts[1]), "{counts:?}");
    assert!(!found.errors.is_empty());
    assert!(found.errors.iter().all(|(kind, told)| kind == "failed" && told.contains("makes too many rows")));
    // Each record makes 12 MB, within its bound; all that are read at once make too much.
    let one = format!(r#"{{"text":"{}","a":[{}]}}"#, "x".repeat(4_000), ones(3_000));
    let sql = "SELECT COUNT(*) AS n INTO out FROM input CROSS APPLY GetArrayElements(a) AS x \
               WHERE text <> '' GROUP BY TumblingWindow(day, 1)";
    let count = |records: usize| {
        let found = run(sql, &vec![one.as_str(); records].join("\n"));
        (found.outputs[0].1.clone(), found.errors)
    };
    assert_eq!(count(5), (vec![r#"{"n":15000}"#.to_owned()], Vec::new()));
    let (rows, errors) = count(7);
    assert!((r#"{"n":15000}"#..r#"{"n":17000}"#).contains(&rows[0].as_str()), "{rows:?}");
    assert!(errors.iter().all(|(_, told)| told.contains("more than 64 MiB")) && !errors.is_empty(), "{errors:?}");
}

#[test]
fn rows_of_applies_do_not_hang_on_how_many_windows_end_together() {
    // Each window makes 42 MB, carrying what it collected for each element of it; both end at once.
    let event = |second: usize, group: usize| {
        let text = "x".repeat(140_000);
        format!(r#"{{"at":"2026-03-04T05:06:0{second}Z","g":{group},"t":"{text}"}}"#)
    };
    let events: Vec<String> = (0..60).map(|number| event(if number < 30 { 1 } else { 5 }, number % 3)).collect();
    let sql = "WITH w AS (SELECT g, Collect(t) AS a FROM input TIMESTAMP BY at GROUP BY g, TumblingWindow(second, 2)) \
               SELECT COUNT(*) AS n INTO out FROM w CROSS APPLY GetArrayElements(w.a) AS e WHERE GetArrayLength(w.a) > 0 \
               GROUP BY TumblingWindow(day, 1)";
    let found = run(sql, &events.join("\n"));
    assert_eq!((found.outputs[0].1.as_slice(), found.errors), ([r#"{"n":60}"#.to_owned()].as_slice(), Vec::new()));
}
