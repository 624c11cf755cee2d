"""Stream Analytics: functions that look back, those that a job brings along, and anomalies, as clients see them."""

import time

from conftest import until
from test_streamanalytics import JOBS, blobs, call, good, json_rows, make, names, publish, scripted, send


def test_functions_look_back_to_events_that_are_left_out(node, names):
    make(node, names, """
        SELECT Symbol AS symbol, Shares AS shares, LAG(Shares, 1, 0) OVER (PARTITION BY Symbol LIMIT DURATION(hour, 1)) AS before,
            ISFIRST(day, 7) OVER (PARTITION BY Symbol) AS first
        INTO lines FROM StockTransactionsRaw WHERE Shares > 5""")
    good(node, "POST", f"{JOBS}/{names['job']}/start", {"outputStartMode": "JobStartTime"})
    rows = lambda: [tuple(row[name] for name in ("symbol", "shares", "before", "first"))
                    for row in json_rows(blobs(node).get_container_client(names["box"]))]
    send(node, names["hub"], ("MSFT", 10), ("MSFT", 5), ("AAPL", 7))
    assert until(lambda: sorted(rows()) == [("AAPL", 7, 0, 1), ("MSFT", 10, 0, 1)])
    send(node, names["hub"], ("MSFT", 20))
    assert until(lambda: sorted(rows()) == [("AAPL", 7, 0, 1), ("MSFT", 10, 0, 1), ("MSFT", 20, 5, 0)])


def test_functions_in_javascript(node, names):
    """A job's own functions: of a row's values and of a window's, shown as they were made, errors told with the script's message."""
    job, box = f"{JOBS}/{names['job']}", blobs(node).get_container_client(names["box"])
    make(node, names, query="")
    hex2int = scripted("// Convert Hex value to integer.\nfunction hex2Int(hexValue) {\n  return parseInt(hexValue, 16);\n}",
                       "bigint", "Scalar", "nvarchar(max)")
    made = good(node, "PUT", f"{job}/functions/hex2Int", {"properties": hex2int})
    assert made["type"] == "Microsoft.StreamAnalytics/streamingjobs/functions" and made["name"] == "hex2Int"
    assert made["properties"]["properties"]["binding"] == hex2int["properties"]["binding"]
    spread = scripted("""function main() {
        this.init = function () { this.low = null; this.high = null; };
        this.accumulate = function (value, timestamp) {
            this.low = this.low === null ? value : Math.min(this.low, value);
            this.high = this.high === null ? value : Math.max(this.high, value);
        };
        this.computeResult = function () { return { low: this.low, high: this.high }; };
    }""", "record", "Aggregate", "any")
    good(node, "PUT", f"{job}/functions/spread", {"properties": spread})
    good(node, "PUT", f"{job}/functions/unused", {"properties": scripted("x => x")})
    assert call(node, "DELETE", f"{job}/functions/unused")[0] == 200
    assert [entry["name"] for entry in good(node, "GET", f"{job}/functions")["value"]] == ["hex2Int", "spread"]
    shown = good(node, "GET", job, version="?api-version=2020-03-01&$expand=functions")
    assert [entry["properties"]["type"] for entry in shown["properties"]["functions"]] == ["Scalar", "Aggregate"]

    assert good(node, "POST", f"{job}/functions/spread/test") == {"status": "TestSucceeded"}
    failed = good(node, "POST", f"{job}/functions/other/test", {"properties": scripted("function (")})
    assert failed["status"] == "TestFailed" and "SyntaxError" in failed["error"]["message"]

    good(node, "PUT", f"{job}/transformations/sums", {"properties": {"streamingUnits": 1, "query": """
        SELECT Symbol AS symbol, UDA.spread(UDF.hex2Int(Code)) AS spread INTO lines FROM StockTransactionsRaw
        GROUP BY Symbol, SessionWindow(second, 1, 20) OVER (PARTITION BY Symbol)"""}})
    good(node, "POST", f"{job}/start", {"outputStartMode": "JobStartTime"})
    codes = [("MSFT", "ff"), ("MSFT", "0a"), ("MSFT", "10"), ("AAPL", "1")]
    publish(node, names["hub"], *({"Symbol": symbol, "Code": code} for symbol, code in codes))
    rows = lambda: {row["symbol"]: row["spread"] for row in json_rows(box)}
    assert until(lambda: rows() == {"MSFT": {"low": 10, "high": 255}, "AAPL": {"low": 1, "high": 1}}), rows()

    good(node, "POST", f"{job}/stop")
    picky = scripted("function hex2Int(code) { if (code === 'bad') throw new Error('no hex: ' + code); return 7; }", "bigint")
    good(node, "PUT", f"{job}/functions/hex2Int", {"properties": picky})
    good(node, "POST", f"{job}/start", {"outputStartMode": "LastOutputEventTime"})
    publish(node, names["hub"], {"Symbol": "GOOG", "Code": "bad"}, {"Symbol": "GOOG", "Code": "1"})
    assert until(lambda: rows().get("GOOG") == {"low": 7, "high": 7}), rows()


def test_anomalies_in_values(node, names):
    make(node, names, """
        WITH scored AS (SELECT Symbol, Shares,
            AnomalyDetection_SpikeAndDip(Shares, 95, 120, 'spikesanddips') OVER (LIMIT DURATION(hour, 1)) AS found
            FROM StockTransactionsRaw)
        SELECT Symbol AS symbol, Shares AS shares, CAST(GetRecordPropertyValue(found, 'Score') AS float) AS score
        INTO lines FROM scored WHERE CAST(GetRecordPropertyValue(found, 'IsAnomaly') AS bigint) = 1""")
    good(node, "POST", f"{JOBS}/{names['job']}/start", {"outputStartMode": "JobStartTime"})
    usual = [("MSFT", 10), ("MSFT", 11), ("MSFT", 9)] * 10
    send(node, names["hub"], *usual)
    rows = lambda: json_rows(blobs(node).get_container_client(names["box"]))
    time.sleep(2)
    send(node, names["hub"], ("MSFT", 500))
    assert until(lambda: [row["shares"] for row in rows()] == [500]), rows()
    assert rows()[0]["score"] < 0.05
