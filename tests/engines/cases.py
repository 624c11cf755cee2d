"""Cases that run on Millstream and on another engine: a query, and the records of its inputs.

A file holds cases as those of `flow/query/tests/sql` do, which are read, too. Lines that begin with `---` head a part:
`--- case WHAT`, `--- dialect NAME`, `--- input NAME: COLUMN TYPE, …` (rows may follow, their cells separated by ` | `; without rows
they are generated), `--- query`, and `--- batch`, the same in another engine's words. What stands in front of a file's first case belongs to all its cases. Other parts are not read.
"""

import dataclasses
import json
import pathlib
import re

import generate
import nexmark

DIALECTS = {"kinesis": "kinesis", "standard": "standard"}


@dataclasses.dataclass
class Input:
    """A table's records: by their columns' names, in the order in which they come."""

    types: dict
    rows: list

    def lines(self, spell, stored):
        """The records as JSON lines. Times are written by `spell`; when a record was stored is also a field called `stored`."""
        return "".join(json.dumps(self.record(row, spell, stored)) + "\n" for row in self.rows)

    def record(self, row, spell, stored):
        record = {}
        for name, value in row.items():
            if name == "@":
                # Millstream reads the one as what the service says of a record, and the other is a field to Flink.
                record["EventEnqueuedUtcTime"] = generate.iso(value) + "Z"
                record[stored] = spell(value).removesuffix("Z") + "Z"
            elif self.types[name] == "timestamp" and value is not None:
                record[name] = spell(value)
            else:
                record[name] = value
        return record


@dataclasses.dataclass
class Case:
    name: str
    dialect: str = "stream-analytics"
    inputs: dict = dataclasses.field(default_factory=dict)
    query: str = ""
    batch: str = ""

    @property
    def outputs(self):
        """The names of what the query writes."""
        return list(dict.fromkeys(re.findall(r"\bINTO\s+[`\"]?(\w+)", self.query)))


def read(path):
    """The cases of a file."""
    common, *cases = re.split(r"^--- case ", pathlib.Path(path).read_text(), flags=re.MULTILINE)
    shared = Case("")
    fill(shared, common.partition("--- ")[2])
    found = []
    for text in cases:
        name, _, parts = text.partition("\n--- ")
        case = Case(name.strip(), shared.dialect, dict(shared.inputs), shared.query)
        fill(case, parts)
        found.append(case)
    return found


def fill(case, parts):
    for part in re.split(r"^--- ", parts, flags=re.MULTILINE):
        head, _, body = part.partition("\n")
        kind, _, rest = head.strip().partition(" ")
        if kind == "dialect":
            case.dialect = DIALECTS[rest]
        elif kind == "input":
            name, _, columns = rest.partition(":")
            types = dict(column.split() for column in columns.split(","))
            case.inputs[name] = Input(types, written(types, body) or generated(name, types))
        elif kind == "query":
            case.query += body
        elif kind == "batch":
            case.batch = body


def generated(name, types):
    """Rows out of a seed: Nexmark's, or any."""
    return nexmark.rows(name) if "dateTime" in types else generate.rows(name, types)


def written(types, body):
    """The rows of a text."""
    lines = [line.split(" | ") for line in body.splitlines() if line.strip()]
    return [{name: cell(kind, text.strip()) for (name, kind), text in zip(types.items(), line)} for line in lines]


def cell(kind, text):
    if text == "NULL":
        return None
    if kind == "timestamp":
        return generate.millis(text)
    return text if kind == "text" else json.loads(text)
