"""The command line: mistakes of a pipeline file, ad-hoc SQL, replayed trades, and an orderly end."""

import json
import re
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


def test_sql_runs_over_a_live_stream(node):
    kinesis = node.client("kinesis")
    kinesis.create_stream(StreamName="live", ShardCount=2)
    kinesis.put_records(StreamName="live", Records=[
        {"Data": json.dumps({"symbol": "AB"[n % 2], "shares": n}), "PartitionKey": str(n)} for n in range(10)])
    sql = "SELECT symbol, shares FROM live WHERE shares >= 8"
    rows = [json.loads(row) for row in node.run("query", sql, "--from-start", "--limit", "2", timeout=30).splitlines()]
    assert sorted(row["shares"] for row in rows) == [8, 9]
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


def test_sigterm_drains_and_a_second_node_is_kept_out(node):
    other = node.folder / "other"
    assert "cannot open the data folder" in serve_in_vain(node.data)
    assert "--aws-listen" in serve_in_vain(other, "--aws-listen", f"127.0.0.1:{node.port}")
    assert "loopback" in serve_in_vain(other, "--aws-listen", "0.0.0.0:4999")
    assert node.stop() == 0
    sound = node.run("log", "verify")
    assert sound.startswith("sound:")
    node.start()
    assert "live" in node.client("kinesis").list_streams()["StreamNames"]


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
