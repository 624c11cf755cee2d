"""`millstream sql` over a case: its rows, its translation to Flink, and how rows of two engines are compared.

Rows have no order. A double is the same when ten of its digits are; a time is the same however it is written.
"""

import collections
import json
import re
import subprocess

from conftest import BINARY

import generate

# The types of a pipeline file's columns; in the standard dialect the query says them.
TYPES = {"kinesis": {"text": "VARCHAR(64)", "bigint": "BIGINT", "double": "DOUBLE", "timestamp": "TIMESTAMP"},
         "stream-analytics": {"text": "nvarchar(max)", "bigint": "bigint", "double": "float", "timestamp": "datetime"}}

TIME = re.compile(r"-?\d{4,}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?")


def sql(*arguments):
    done = subprocess.run([BINARY, "sql", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder, case, spell):
    """Writes a case's samples, with times as `spell` has them, and its query."""
    (folder / "in").mkdir(parents=True)
    stored = re.search(r"(\w+) TIMESTAMP_LTZ\(3\) METADATA", case.query)
    for name, sample in case.inputs.items():
        (folder / "in" / f"{name}.jsonl").write_text(sample.lines(spell, stored[1] if stored else "arrival_time"))
    (folder / "own.sql").write_text(case.query)
    if case.dialect in TYPES:
        (folder / "pipeline.toml").write_text(pipeline(case))


def pipeline(case):
    """A pipeline file with the query, which says the types of its inputs' columns."""
    lines = ['name = "case"', "[[query]]", 'name = "q"', f'dialect = "{case.dialect}"', 'sql_file = "own.sql"',
             "out_of_order_tolerance_seconds = 5"]
    for name, sample in case.inputs.items():
        types = [(column, TYPES[case.dialect][kind]) for column, kind in sample.types.items() if column != "@"]
        columns = ", ".join(f'{{ name = "{column}", type = "{kind}" }}' for column, kind in types)
        lines += ["[[query.input]]", f'name = "{name}"', f'stream = "{name}"', f"columns = [{columns}]"]
    lines += [line for name in case.outputs for line in ("[[query.output]]", f'name = "{name}"')]
    lines += [line for name in case.inputs for line in ("[[stream]]", f'name = "{name}"')]
    return "\n".join(lines) + "\n"


def query(folder, case):
    """The arguments that name a case's query."""
    return [folder / "pipeline.toml"] if case.dialect in TYPES else [folder / "own.sql", "--dialect", case.dialect]


def translated(folder, case):
    """The tables and statements of Flink that say the query."""
    return "".join(sql("translate", *query(folder, case), "--within-tolerance", "--to", goal) for goal in ("flink-ddl", "flink"))


def rows(folder, case, refusals=False):
    """By output, the rows that Millstream gives; unless it may, no record may be refused."""
    samples = [f"--input={name}={folder / 'in' / name}.jsonl" for name in case.inputs]
    files = [f"--output={name}={folder / name}.rows" for name in case.outputs]
    sql("run", *query(folder, case), *samples, *files, *([] if refusals else ["--strict"]))
    return {name: [json.loads(line) for line in (folder / f"{name}.rows").read_text().splitlines()] for name in case.outputs}


def check_same(own, theirs):
    """Fails when the rows are not the same, and shows those that only one side has."""
    assert own, "without rows nothing is compared"
    own, theirs = counted(own), counted(theirs)
    differ = [(sign, row) for sign, some in (("-", theirs - own), ("+", own - theirs)) for row in some]
    told = "\n".join(f"{sign} {dict(row)}" for sign, row in sorted(differ, key=str)[::max(1, len(differ) // 40)])
    assert not differ, f"{len(differ)} different rows (- the other engine's, + Millstream's), some of them:\n{told}"


def counted(rows):
    return collections.Counter(tuple(sorted((name, plain(value)) for name, value in row.items())) for row in rows)


def plain(value):
    """A value by which rows are compared."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, str) and TIME.fullmatch(value):
        return "time", generate.millis(value[:23].removesuffix("Z"))
    return value
