"""The command line: mistakes of a pipeline file, ad-hoc SQL, replayed trades, and an orderly end."""

import json
import pathlib
import re
import signal
import subprocess

from conftest import BINARY, ROOT, Node, until

PIPELINE = """
name = "broken"

[[delivery_stream]]
name = "input"
bucket = "archive"

[[table]]
name = "sums"
hash_key = { name = "timestamp", type = "number" }
sort_key = { name = "symbol", type = "string" }

[[function]]
name = "Save"
runtime = "python3.11"
handler = "app.handler"
code = "nowhere"

[[query]]
name = "sums"
dialect = "stream-analytics"
sql = '''
SELECT symbol, SUM(sharse) AS change, System.Timestamp() AS time
INTO out FROM src GROUP BY symbol, TumblingWindow(minute, 1)
'''

[[query.input]]
name = "src"
delivery_stream = "input"
columns = [{ name = "symbol", type = "VARCHAR(8)" }, { name = "shares", type = "BIGINT" }]

[[query.output]]
name = "out"
function = "Save"
fills = { table = "sums", keys = { timestamp = "time" } }
"""


def check(path):
    done = subprocess.run([BINARY, "check", str(path)], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_check_tells_every_mistake_with_its_line(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text(PIPELINE)
    status, told = check(path)
    assert status != 0
    # The code folder that is not there, and the column that is misspelt, each on its line.
    lines = PIPELINE.splitlines()
    code = lines.index('code = "nowhere"') + 1
    select = lines.index("SELECT symbol, SUM(sharse) AS change, System.Timestamp() AS time") + 1
    assert f"{path}:{code}: cannot read the code of `Save`" in told, told
    assert re.search(rf"{re.escape(str(path))}:{select}: error\[Q\d+\].*sharse", told), told
    assert "shares" in told
    path.write_text(PIPELINE.replace("sharse", "shares").replace('"nowhere"', '"."'))
    status, told = check(path)
    assert status != 0
    assert "the key `timestamp` of table `sums` is a Number, but column `time` is a Timestamp" in told, told
    assert "names no column for the key `symbol`" in told, told
    assert check(ROOT / "examples" / "stock-trades" / "pipeline.toml")[0] == 0


MISTAKES = """
[[stream]]
name = "trades"
shards = 0
shrads = 3

[[table]]
name = "ab"
hash_key = { name = "id", type = "string" }

[[table]]
name = "others"
hash_key = { name = "id", type = "strin" }

[[function]]
name = "Save"
runtime = "cobol"
handler = ""
code = "."
timeout_seconds = 901
environment = { AWS_REGION = "x", TABLE = "t" }

[[query]]
name = "sums"
dialect = "stream-analytics"
sql = '''
SELECT EventId() AS event, foo INTO one FROM src;
SELECT symbol + 1 AS more INTO two FROM src
'''
[[query.input]]
name = "src"
stream = "trades"
columns = [{ name = "symbol", type = "VARCHAR(8)" }, { name = "shares", type = "BIGINT" }]

[[query]]
name = "others"
dialect = "stream-analytics"
sql = "SELECT * FROM nowhere"
[[query.input]]
name = "src"
stream = "tradess"

[[role]]
name = "writer"
policy = "no document"

[[mapping]]
stream = "trades"
function = "Save"
filters = ["no pattern"]

[[sns_topic]]
name = "alerts"
[[sns_topic.subscription]]
url = "https://example.com"
filter = "[]"
"""


def test_check_hides_no_mistake_behind_another(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text(MISTAKES)
    status, told = check(path)
    assert status != 0
    found = re.findall(rf"{re.escape(str(path))}:(\d+): (.*)", told)
    lines = MISTAKES.splitlines()
    expected = [("shards = 0", "expected shards from 1 to 500"), ("shrads = 3", "unknown field `shrads`"),
                ('hash_key = { name = "id", type = "strin" }', "unknown variant `strin`"), ('name = "ab"', "for a table"),
                ('runtime = "cobol"', "runtime `cobol`"), ('handler = ""', "expected a handler"),
                ("timeout_seconds = 901", "expected timeout_seconds"),
                ('name = "Save"', "AWS_REGION;"), ("SELECT EventId", "Q107"), ("SELECT EventId", "foo"),
                ("SELECT symbol + 1", "Q108"), ('sql = "SELECT * FROM nowhere"', "nowhere"),
                ('stream = "tradess"', "there is no stream `tradess`"), ('name = "writer"', "the policy of `writer`"),
                ('function = "Save"', "a filter of the mapping"), ("[[sns_topic.subscription]]", "the filter of the")]
    for start, words in expected:
        line = next(number for number, line in enumerate(lines, 1) if line.startswith(start))
        assert any(int(at) == line and words in text for at, text in found), (line, words, told)
    assert len(found) == len(expected) == len(set(found)), told
    assert told.count("try:") == len(found), "each says what to do"


def test_a_damaged_journal_is_given_up_only_when_asked_to(tmp_path):
    node = Node()
    try:
        node.start()
        kinesis = node.client("kinesis")
        kinesis.create_stream(StreamName="kept", ShardCount=1)
        for number in range(20):
            kinesis.put_record(StreamName="kept", Data=f"record {number:02}".encode(), PartitionKey="k")
        node.kill()
        (journal,) = (node.data / "journal").glob("*.wal")
        damaged = journal.read_bytes()
        at = damaged.index(b"record 07")
        damaged = damaged[:at] + b"RECORD" + damaged[at + 6:]
        journal.write_bytes(damaged)
        verified = node.run("log", "verify", check=False)
        assert verified.returncode != 0 and "millstream log repair" in verified.stderr
        told = node.run("log", "repair", "--skip")
        assert "1 records of log" in told and "add --yes" in told and journal.read_bytes() == damaged
        done = node.run("log", "repair", "--skip", "--yes")
        assert "written anew" in done and [file.read_bytes() for file in (node.data / "damaged").iterdir()] == [damaged]
        node.start()
        kinesis = node.client("kinesis")
        shard = kinesis.list_shards(StreamName="kept")["Shards"][0]["ShardId"]
        at = kinesis.get_shard_iterator(StreamName="kept", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found = [record["Data"].decode() for record in kinesis.get_records(ShardIterator=at)["Records"]]
        assert found == [f"record {number:02}" if number != 7 else "" for number in range(20)]
    finally:
        node.remove()


def test_sql_runs_over_a_live_stream(node):
    kinesis = node.client("kinesis")
    kinesis.create_stream(StreamName="live", ShardCount=2)
    kinesis.put_records(StreamName="live", Records=[
        {"Data": json.dumps({"symbol": "AB"[n % 2], "shares": n}), "PartitionKey": str(n)} for n in range(10)])
    sql = "SELECT symbol, shares FROM live WHERE shares >= 8"
    rows = [json.loads(row) for row in node.run("query", sql, "--from-start", "--limit", "2", timeout=30).splitlines()]
    assert sorted(row["shares"] for row in rows) == [8, 9]
    kinesis_sql = 'SELECT STREAM "symbol", "shares" * 2 AS "twice" FROM "live" WHERE "shares" = 9'
    (row,) = node.run("query", kinesis_sql, "--dialect", "kinesis", "--from-start", "--limit", "1", timeout=30).splitlines()
    assert json.loads(row) == {"symbol": "B", "twice": 18}
    misspelt = node.run("query", 'SELECT STREAM "sharez" FROM "live"', "--dialect", "kinesis", check=False)
    assert misspelt.returncode != 0 and "sharez" in misspelt.stderr and "1:15" in misspelt.stderr
    kinesis.create_stream(StreamName="odd", ShardCount=1)
    kinesis.put_records(StreamName="odd", Records=[
        {"Data": data, "PartitionKey": "k"} for data in (b'{"n": 1}', b"no json", b'{"n": 2}')])
    told = node.run("query", "SELECT n FROM odd", "--from-start", "--limit", "2", check=False, timeout=30)
    assert told.returncode == 0 and len(told.stdout.splitlines()) == 2 and "1 could not be read" in told.stderr, told
    wrong = node.run("query", "SELECT nothing FROM live", check=False)
    assert wrong.returncode != 0 and "nothing" in wrong.stderr
    unbounded = node.run("query", "SELECT COUNT(*) FROM live GROUP BY symbol", check=False)
    assert unbounded.returncode != 0 and "Window" in unbounded.stderr


def serve_in_vain(data, *flags):
    """What a node prints that cannot start; its other ports are free."""
    spare = Node(*flags)
    try:
        done = subprocess.run([BINARY, "serve", "--data", str(data), *spare.listen_flags(), *spare.flags],
                              capture_output=True, text=True, timeout=60)
    finally:
        spare.remove()
    assert done.returncode != 0
    return done.stderr


WAITING = """
[[stream]]
name = "waiting"

[[queue]]
name = "letters"

[[event_hub]]
name = "arrivals"

[[function]]
name = "Refuses"
runtime = "python3.12"
handler = "app.handler"
code = "code"

[[mapping]]
stream = "waiting"
function = "Refuses"
enabled = false

[[query]]
name = "held"
dialect = "kinesis"
sql = '''
CREATE OR REPLACE STREAM "OUT" ("n" INTEGER);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "n" FROM "SRC";
'''
[[query.input]]
name = "SRC"
stream = "waiting"
columns = [{ name = "n", type = "INTEGER" }]
[[query.output]]
name = "OUT"
function = "Refuses"
"""


def test_a_row_behind_a_failing_one_says_what_it_waits_for(node, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context):\n    raise ValueError('not today')\n")
    (tmp_path / "pipeline.toml").write_text(WAITING)
    node.run("apply", tmp_path / "pipeline.toml")
    kinesis = node.client("kinesis")

    def put(number):
        return kinesis.put_record(StreamName="waiting", Data=json.dumps({"n": number}), PartitionKey="k")["SequenceNumber"]

    def story_with(record, words):
        return until(lambda: words in (told := node.run("trace", record)) and told)

    assert "not today" in story_with(put(1), "not today")
    told = story_with(put(2), "waits for Refuses of OUT: a row is before it")
    assert "a row is before it; the delivery fails since 20" in told and "not today" in told, told
    status = node.run("status")
    for line in ("letters ", "arrivals ", "held/OUT ", "target=Refuses", "rows_waiting=2", "source=stream waiting"):
        assert line in status, (line, status)
    assert "null" not in status and re.search(r"held .*watermark=20\d\d-", status), status
    kinesis.delete_stream(StreamName="waiting")
    status = until(lambda: "there is no stream `waiting`" in (told := node.run("status")) and told)
    assert "state=retrying" in status


def test_sigterm_drains_and_a_second_node_is_kept_out(node):
    other = node.folder / "other"
    assert "cannot open the data folder" in serve_in_vain(node.data)
    assert "--aws-listen" in serve_in_vain(other, "--aws-listen", f"127.0.0.1:{node.port}")
    assert "loopback" in serve_in_vain(other, "--aws-listen", "0.0.0.0:4999")
    assert node.stop() == 0
    sound = node.run("log", "verify")
    assert sound.startswith("sound:")
    assert node.run("log", "dump").startswith("transaction ")
    node.start()
    assert "live" in node.client("kinesis").list_streams()["StreamNames"]


def test_a_node_that_answers_hears_what_ends_it():
    node = Node()
    try:
        node.start()
        status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*([0-9a-f]+)", status)[1], 16)
        assert caught >> (signal.SIGTERM - 1) & 1 and caught >> (signal.SIGINT - 1) & 1
        assert node.stop() == 0
    finally:
        node.remove()


def test_a_replay_needs_its_file(tmp_path):
    demo = subprocess.run([BINARY, "demo", "--data", str(tmp_path / "data"), "--replay", str(tmp_path / "none.csv")],
                          capture_output=True, text=True, timeout=30)
    assert demo.returncode != 0 and "none.csv" in demo.stderr


def test_a_demo_that_fails_drains_its_node():
    node = Node()
    try:
        node.data.mkdir()
        # Where the example's folder should be.
        node.data.joinpath("demo").write_text("in the way")
        demo = subprocess.run([BINARY, "demo", "--data", str(node.data), *node.listen_flags()], capture_output=True, text=True,
                              timeout=60)
        assert demo.returncode != 0 and "writing the example" in demo.stderr
        assert not node.data.joinpath("millstream.sock").exists()
    finally:
        node.remove()


def test_replayed_trades_keep_their_own_times(tmp_path):
    trades = tmp_path / "trades.csv"
    rows = [f"2018-07-09T14:{minute:02}:{second:02}Z,{symbol},100.5,{shares},7"
            for minute, second, symbol, shares in [(30, 5, "MSFT", 10), (30, 50, "MSFT", -4), (31, 5, "AMZN", 3),
                                                   (31, 30, "MSFT", 2), (33, 0, "MSFT", 1)]]
    trades.write_text("time,symbol,price,shares,userId\n" + "\n".join(rows) + "\n")
    node = Node()
    command = [BINARY, "demo", "--data", str(node.data), *node.listen_flags(), "--replay", str(trades), "--speed", "60",
               "--seconds", "200"]
    windows = {("2018-07-09T14:31", "MSFT"): 6, ("2018-07-09T14:32", "AMZN"): 3, ("2018-07-09T14:32", "MSFT"): 2}
    with open(node.log, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def rows():
        if not node.data.joinpath("millstream.sock").exists():
            return {}
        try:
            done = node.run("tail", "query/share-change-stream-analytics/ShareChanges", "--from-start", "--limit", "3",
                            check=False, timeout=30)
        except subprocess.TimeoutExpired:
            return {}
        rows = [json.loads(json.loads(line)["data"]) for line in done.stdout.splitlines()]
        return {(row["time"][:16], row["symbol"]): row["shareChange"] for row in rows}

    def items():
        items = node.client("dynamodb").scan(TableName="share_changes")["Items"]
        return {(item["timestamp"]["S"][:16], item["symbol"]["S"]): int(item["shareChange"]["N"]) for item in items}

    try:
        assert until(lambda: len(found := rows()) == 3 and found, seconds=120) == windows
        assert until(lambda: len(found := items()) == 3 and found) == windows
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        node.remove()
