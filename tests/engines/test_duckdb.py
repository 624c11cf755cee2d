"""Windows of Stream Analytics' and Kinesis Analytics' languages beside DuckDB: over all rows that there are a window is a batch query."""

import json
import pathlib

import duckdb
import pytest

import cases
import generate
import millstream

CASES = cases.read(pathlib.Path(__file__).parent / "sql" / "duckdb.txt")
TYPES = {"text": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE", "timestamp": "BIGINT"}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_rows_are_those_of_duckdb(tmp_path, case):
    millstream.write(tmp_path, case, generate.zoned)
    (own,) = millstream.rows(tmp_path, case).values()
    millstream.check_same(own, batch(tmp_path, case))


def batch(folder, case):
    """The rows of a case's batch query."""
    with duckdb.connect() as engine:
        engine.execute("CREATE MACRO instant(millis) AS strftime(make_timestamp(millis * 1000), '%Y-%m-%dT%H:%M:%S.%gZ')")
        for name, sample in case.inputs.items():
            types = {"arrival_time" if column == "@" else column: TYPES[kind] for column, kind in sample.types.items()}
            file = folder / f"{name}.jsonl"
            file.write_text("".join(json.dumps({"arrival_time": row.get("@"), **row}) + "\n" for row in sample.rows))
            engine.execute(f"CREATE TABLE \"{name}\" AS SELECT * FROM read_json(?, columns = {types!r})", [str(file)])
        found = engine.execute(case.batch)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]
