"""Nexmark's queries on Millstream and on Apache Flink, from the same files of JSON into files of JSON.

    python bench/nexmark.py MILLSTREAM FOLDER [EVENTS]

Millstream runs each query in one thread (`millstream sql run`). Flink runs it with parallelism 1 in a process of its own, in which
each query has run twice before, so that it is compiled; its threads for reading, checkpoints and garbage work beside. Of each
query: events a second, and seconds of processors for a million events. Flink's planning is not in its events a second.
"""

import pathlib
import re
import resource
import shutil
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "engines")]

import conftest  # noqa: E402

MILLSTREAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
EVENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
conftest.BINARY = MILLSTREAM

import cases  # noqa: E402
import flink  # noqa: E402
import generate  # noqa: E402
import millstream  # noqa: E402
import nexmark  # noqa: E402

# How often a query runs on each; the last run counts.
RUNS = 3
# How far apart events are, so that windows of ten seconds hold thousands of them.
STEP_MS = 1


def write_events():
    """Writes each table's events into a file; gives how many there are."""
    counts = {}
    files = {table: open(FOLDER / f"{table}.jsonl", "w", encoding="utf-8") for table in ("bid", "auction", "person")}
    types = {"dateTime": "timestamp", "expires": "timestamp"}
    for table, row in nexmark.events(EVENTS, STEP_MS):
        known = cases.Input({name: types.get(name, "text") for name in row}, [row])
        files[table].write(known.lines(generate.iso, ""))
        counts[table] = counts.get(table, 0) + 1
    for file in files.values():
        file.close()
    return counts


def prepare(folder, case):
    """A case's folder, whose samples are the files of all."""
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    for table in case.inputs:
        (folder / "in" / f"{table}.jsonl").symlink_to(FOLDER / f"{table}.jsonl")
    for name in ("own.sql", "query.sql"):
        (folder / name).write_text(case.query)


def read_by(case, counts):
    """How many events a query reads."""
    tables = set(re.findall(r"(?<!CREATE )(?:FROM|JOIN|TABLE) (bid|auction|person)\b", case.query))
    return sum(counts[table] for table in tables)


def of_millstream(folder, case):
    """How long a query takes on Millstream, and how long processors work for it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    samples = [f"--input={name}={folder / 'in' / name}.jsonl" for name in case.inputs]
    millstream.sql("run", folder / "own.sql", "--dialect", case.dialect, *samples, f"--output={case.outputs[0]}={folder / 'own.rows'}")
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def told(name, events, seconds, cpu):
    return f"{name} {events / seconds / 1e6:.2f} M events/s, {cpu / events * 1e6:.2f} s of CPU a million"


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    counts = write_events()
    queries = cases.read(TESTS / "engines" / "sql" / "nexmark.txt")
    folders = {case.name: [FOLDER / "runs" / f"{place:02}-{run}" for run in range(RUNS)] for place, case in enumerate(queries)}
    for case in queries:
        for folder in folders[case.name]:
            prepare(folder, case)
    lines = flink.run(FOLDER / "runs", seconds=3600, options=("-XX:+UseParallelGC",)).splitlines()
    theirs = {name: (int(ran) / 1e3, int(cpu) / 1e3) for name, ran, cpu in map(str.split, lines)}
    for case in queries:
        events, last = read_by(case, counts), folders[case.name][-1]
        own = [of_millstream(last, case) for _ in range(RUNS)][-1]
        other = theirs.get(last.name)
        beside = told("Flink", events, *other) if other else "Flink refused it"
        print(f"{case.name}: {told('Millstream', events, *own)}; {beside}", flush=True)


main()
