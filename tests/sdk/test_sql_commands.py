"""`millstream sql`: queries checked, run, tested and explained without a node, as in somebody's own CI."""

import csv
import json
import subprocess

import pytest

from conftest import BINARY, ROOT

TRADES = """CREATE TABLE trades (symbol nvarchar(max), shares bigint, at datetime);
SELECT System.Timestamp() AS time, symbol, SUM(shares) AS total
INTO sums
FROM trades TIMESTAMP BY at
GROUP BY symbol, TumblingWindow(minute, 1)
"""
EVENTS = [
    {"symbol": "A", "shares": 1, "at": "2026-03-04T05:06:07Z"},
    {"symbol": "B", "shares": 2, "at": "2026-03-04T05:06:08Z"},
    {"symbol": "A", "shares": 4, "at": "2026-03-04T05:07:10Z"},
]
ROWS = [
    {"time": "2026-03-04T05:07:00.0000000Z", "symbol": "A", "total": 1},
    {"time": "2026-03-04T05:07:00.0000000Z", "symbol": "B", "total": 2},
    {"time": "2026-03-04T05:08:00.0000000Z", "symbol": "A", "total": 4},
]


@pytest.fixture
def sql(tmp_path):
    """Runs `millstream sql` in a folder of its own; gives how it ended."""

    def run(*arguments, **files):
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        command = [BINARY, "sql", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def lines(events):
    return "".join(json.dumps(event) + "\n" for event in events)


def by_row(rows):
    return sorted(rows, key=lambda row: (row["time"], row["symbol"]))


def test_check_tells_each_mistake_with_file_line_and_column(sql):
    wrong = TRADES.replace("SUM(shares)", "SUM(sharse)").replace("TIMESTAMP BY at", "TIMESTAMP BY att")
    done = sql("check", "q.sql", q__sql=wrong)
    assert done.returncode == 1 and done.stdout == ""
    assert "q.sql:2:48: error[Q104]" in done.stderr and "try: shares" in done.stderr, done.stderr
    assert "    SELECT System.Timestamp() AS time, symbol, SUM(sharse) AS total\n" + " " * (4 + 47) + "^\n" in done.stderr
    assert "q.sql:4:26: error[Q104]" in done.stderr, done.stderr
    done = sql("check", "q.sql", q__sql=TRADES)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "q.sql: sound (stream-analytics): reads trades, writes sums (time, symbol, total)\n"


def test_check_says_how_an_aggregate_is_bounded(sql):
    done = sql("check", "q.sql", q__sql="SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol")
    assert done.returncode == 1 and "error[Q109]" in done.stderr and "TumblingWindow" in done.stderr, done.stderr
    kinesis = 'CREATE STREAM "O" (N INTEGER); CREATE PUMP P AS INSERT INTO "O" SELECT STREAM COUNT(*) FROM "trades"'
    done = sql("check", "q.sql", q__sql=kinesis)
    assert done.returncode == 1 and "error[Q109]" in done.stderr and "STEP(" in done.stderr, done.stderr


def test_columns_come_from_a_sample_or_are_left_open(sql):
    query = "SELECT symbl FROM trades"
    done = sql("check", "q.sql", q__sql=query)
    assert done.returncode == 0 and "the columns of `trades` are not known" in done.stderr, done.stderr
    done = sql("check", "q.sql", "--input", "trades=t.json", q__sql=query, t__json=json.dumps(EVENTS))
    assert done.returncode == 1 and "q.sql:1:8: error[Q104]" in done.stderr and "symbol" in done.stderr, done.stderr
    # With an input that is known, another name is a mistake.
    done = sql("check", "q.sql", "--input", "trades=t.json", q__sql="SELECT symbol FROM tradse")
    assert done.returncode == 1 and "error[Q103]" in done.stderr and "try: trades" in done.stderr, done.stderr
    done = sql("check", "q.sql", "--input", "nothing", q__sql=query)
    assert done.returncode == 1 and "expected NAME=FILE, found nothing" in done.stderr


def test_a_pipeline_file_knows_the_inputs(sql, tmp_path):
    example = ROOT / "examples" / "stock-trades"
    done = sql("check", example / "share_change.kinesis.sql", "--pipeline", example / "pipeline.toml")
    assert done.returncode == 0 and "sound (kinesis): reads SOURCE_SQL_STREAM_001" in done.stdout, done.stderr
    done = sql("check", example / "pipeline.toml")
    assert done.returncode == 1 and "several queries" in done.stderr and "share-change-per-minute" in done.stderr
    pipeline = """name = "p"
[[stream]]
name = "trades"
[[query]]
name = "q"
dialect = "stream-analytics"
sql = '''
SELECT sharse INTO out FROM src
'''
[[query.input]]
name = "src"
stream = "trades"
columns = [{ name = "shares", type = "BIGINT" }]
[[query.output]]
name = "out"
stream = "trades"
"""
    done = sql("check", "p.toml", p__toml=pipeline)
    assert done.returncode == 1, done.stdout
    assert "p.toml:8:8: error[Q104]" in done.stderr and "shares" in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.csv"])
def test_run_gives_the_rows_of_files(sql, tmp_path, name):
    with open(tmp_path / name, "w", newline="") as file:
        if name.endswith(".csv"):
            writer = csv.DictWriter(file, EVENTS[0])
            writer.writeheader()
            writer.writerows(EVENTS)
        else:
            file.write(json.dumps(EVENTS, indent=1) if name == "t.json" else lines(EVENTS))
    done = sql("run", "q.sql", "--input", f"trades={name}", q__sql=TRADES)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert by_row(rows) == ROWS


def test_run_writes_csv_tables_and_files(sql, tmp_path):
    two = TRADES + "SELECT symbol INTO symbols FROM trades TIMESTAMP BY at WHERE shares > 3"
    files = {"q__sql": two, "t__jsonl": lines(EVENTS)}
    done = sql("run", "q.sql", "--input", "trades=t.jsonl", **files)
    assert '{"output":"symbols","row":{"symbol":"A"}}' in done.stdout.splitlines(), done.stdout
    done = sql("run", "q.sql", "--input", "trades=t.jsonl", "--output", "sums=out.csv", "--format", "csv", **files)
    assert done.stdout == "symbols\nsymbol\nA\n", done.stdout
    assert [row["total"] for row in csv.DictReader(open(tmp_path / "out.csv"))].count("4") == 1
    done = sql("run", "q.sql", "--input", "trades=t.jsonl", "--format", "table", **files)
    assert "  total\n" in done.stdout and "-----" in done.stdout, done.stdout
    done = sql("run", "q.sql", "--input", "trades=t.jsonl", "--output", "summs=x", **files)
    assert done.returncode == 1 and "there is no output `summs`; there are sums, symbols" in done.stderr
    done = sql("run", "q.sql", **files)
    assert done.returncode == 1 and "try: --input trades=FILE" in done.stderr


def test_what_is_refused_is_told_and_may_be_a_failure(sql):
    events = lines([*EVENTS, {"symbol": "C", "shares": "x", "at": "2026-03-04T05:07:11Z"}])
    flags = ["run", "q.sql", "--input", "trades=t.jsonl"]
    done = sql(*flags, q__sql=TRADES, t__jsonl=events)
    assert done.returncode == 0 and done.stderr.startswith("trades, line 4: unparsable: "), done.stderr
    assert len(done.stdout.splitlines()) == 3
    done = sql(*flags, "--strict")
    assert done.returncode == 1 and "1 events or rows were refused" in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_tolerances_hold_for_events_that_say_when_they_arrived(sql):
    late = {**EVENTS[0], "EventEnqueuedUtcTime": "2026-03-04T05:09:00Z"}
    flags = ["run", "q.sql", "--input", "trades=t.jsonl"]
    done = sql(*flags, q__sql=TRADES, t__jsonl=lines([late]))
    assert json.loads(done.stdout)["time"] == "2026-03-04T05:09:00.0000000Z", "five seconds before its arrival"
    done = sql(*flags, "--out-of-tolerance", "drop")
    assert done.stdout == "" and "trades, line 1: late: " in done.stderr
    done = sql(*flags, "--late-tolerance", "-1")
    assert json.loads(done.stdout)["time"] == "2026-03-04T05:07:00.0000000Z"
    done = sql("run", "q.sql", "--input", "trades=t.jsonl", "--arrival", "2026-01-01T00:00:00Z",
               q__sql="SELECT System.Timestamp() AS t INTO o FROM trades", t__jsonl=lines(EVENTS[:1]))
    assert json.loads(done.stdout) == {"t": "2026-01-01T00:00:00.0000000Z"}


def test_reference_data_are_files(sql):
    query = "SELECT t.shares, c.company INTO o FROM trades t JOIN companies c ON t.symbol = c.symbol"
    files = {"q__sql": query, "t__jsonl": lines(EVENTS), "c__csv": "symbol,company\nA,Acme\n"}
    flags = ["run", "q.sql", "--input", "trades=t.jsonl"]
    done = sql(*flags, "--reference", "companies=c.csv", **files)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"shares": 1, "company": "Acme"}, {"shares": 4, "company": "Acme"}], done.stderr


GOLDEN = """# Sums by minute. This line stays.
sql_file = "q.sql"

[input.trades]
text = '''
%s'''

[output.sums]
rows = '''
%s'''
"""


def golden(rows):
    return GOLDEN % (lines(EVENTS), lines(rows))


def test_golden_files_pass_fail_and_are_updated(sql, tmp_path):
    # Rows of one instant may come in any order, and numbers and members are compared by their values.
    expected = [ROWS[1], {"total": 1.0, **{key: ROWS[0][key] for key in ("symbol", "time")}}, ROWS[2]]
    done = sql("test", ".", q__sql=TRADES, a__test__toml=golden(expected))
    assert done.returncode == 0 and done.stdout.endswith("1 passed, 0 failed\n"), done.stdout + done.stderr
    done = sql("test", ".", b__test__toml=golden([ROWS[2], ROWS[0], ROWS[1]]))
    assert done.returncode == 1 and "1 passed, 1 failed" in done.stderr, "instants come in their order"
    wrong = golden([ROWS[0], {**ROWS[1], "total": 3}, ROWS[2]])
    done = sql("test", ".", b__test__toml=wrong)
    assert done.returncode == 1, done.stdout
    assert "FAILED  ./b.test.toml\n  output sums" in done.stdout, done.stdout
    text = json.dumps({**ROWS[1], "total": 3})
    found = json.dumps(ROWS[1], separators=(",", ":"))
    assert f"  - {text}\n" in done.stdout and f"  + {found}\n" in done.stdout, done.stdout
    done = sql("test", "--update", ".")
    assert done.returncode == 0 and "updated ./b.test.toml" in done.stdout, done.stdout
    updated = (tmp_path / "b.test.toml").read_text()
    assert updated.startswith("# Sums by minute. This line stays.\n") and found in updated
    assert (tmp_path / "a.test.toml").read_text() == golden(expected), "what passes is left alone"
    assert sql("test", "b.test.toml").returncode == 0


def test_golden_files_expect_refusals_and_mistakes(sql, tmp_path):
    test = """sql = '''
SELECT sharse INTO o FROM trades'''
[input.trades]
text = '{"shares":1}'
"""
    done = sql("test", "a.test.toml", a__test__toml=test)
    assert done.returncode == 1 and "it expects nothing" in done.stdout, done.stdout
    done = sql("test", "--update", "a.test.toml")
    assert done.returncode == 0, done.stdout
    assert "error[Q104]" in (tmp_path / "a.test.toml").read_text()
    assert sql("test", "a.test.toml").returncode == 0
    done = sql("test", "a.test.toml", a__test__toml=test.replace("sharse", "shares") + "[output.p]\nrows = ''\n")
    assert done.returncode == 1 and "the query writes no output `p`; its outputs are `o`" in done.stdout
    assert sql("test", tmp_path / "nowhere").returncode == 1
    (tmp_path / "empty").mkdir()
    assert "there are no tests" in sql("test", "empty").stderr


def test_the_examples_tests_pass(sql):
    done = sql("test", ROOT / "examples")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout and "0 passed" not in done.stdout


def test_explain_shows_steps_state_and_time(sql):
    done = sql("explain", "q.sql", q__sql=TRADES)
    assert done.returncode == 0, done.stderr
    for said in ["output sums: time datetime, symbol nvarchar(max), total bigint\n└─ step 0: tumbling windows of 1 min",
                 "└─ source trades: ", "state: 1 value(s) for each key and window", "after a change: ",
                 "late, more than 5 s behind its arrival", "watermark of the query", "2,000,000 groups"]:
        assert said in done.stdout, f"{said}\n{done.stdout}"
    example = ROOT / "examples" / "stock-trades" / "pipeline.toml"
    done = sql("explain", example, "--query", "share-change-per-minute")
    assert "of an event: its arrival" in done.stdout, done.stderr
    done = sql("explain", "q.sql", q__sql="SELECT a FROM trades")
    assert done.returncode == 1 and "the columns of `trades` are not known" in done.stderr


STANDARD = """CREATE TABLE trades (symbol STRING, shares BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '5' SECOND);
INSERT INTO sums
SELECT window_end AS `time`, symbol, SUM(shares) AS total
FROM TABLE(TUMBLE(TABLE trades, DESCRIPTOR(at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, symbol;
"""


def test_the_standard_dialect_is_checked_run_and_explained(sql):
    done = sql("check", "q.sql", q__sql=STANDARD)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "q.sql: sound (standard): reads trades, writes sums (time, symbol, total)\n"
    done = sql("run", "q.sql", "--input", "trades=trades.jsonl", q__sql=STANDARD, trades__jsonl=lines(EVENTS))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [{**row, "time": row["time"][:19].replace("T", " ") + ".000"} for row in ROWS]
    assert by_row(rows) == by_row(expected), done.stderr
    done = sql("explain", "q.sql", q__sql=STANDARD)
    assert "more than 5 s behind others of its shard: dropped" in done.stdout, done.stdout + done.stderr


def test_translate_says_what_is_exact_and_what_is_not(sql):
    done = sql("translate", "q.sql", "--to", "flink", q__sql=TRADES)
    assert done.returncode == 1
    assert "DESCRIPTOR(`at`), INTERVAL '1' MINUTE, INTERVAL '0.001' SECOND" in done.stdout, done.stdout
    assert "q.sql:4:6: not carried over: rows that are later" in done.stderr, done.stderr
    done = sql("translate", "q.sql", "--to", "flink", "--within-tolerance", q__sql=TRADES)
    assert done.returncode == 0, done.stderr
    assert "exact in other words: windows (start, end]" in done.stderr, done.stderr
    done = sql("translate", "q.sql", "--to", "flink-ddl", "--within-tolerance", "--bootstrap", "k:1", q__sql=TRADES)
    assert done.returncode == 0 and "'properties.bootstrap.servers' = 'k:1'" in done.stdout, done.stderr
    done = sql("translate", "q.sql", "--to", "asa", "--within-tolerance", q__sql=STANDARD)
    assert done.returncode == 0, done.stderr
    assert "TumblingWindow(Duration(minute, 1), Offset(millisecond, -1))" in done.stdout, done.stdout
