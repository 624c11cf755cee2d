"""Millstream's SQL beside Apache Flink: the same statements over the same records give the same rows.

At a sample's end all time has passed on both sides, so all windows are closed.
"""

import pathlib
import tempfile

import pytest
from conftest import ROOT

import cases
import flink
import generate
import millstream

HERE = pathlib.Path(__file__).parent
QUERY_TESTS = ROOT / "flow" / "query" / "tests"

pytestmark = flink.needs_flink

FILES = ["windows", "joins", "patterns", "scalars", "nexmark"]
STANDARD = [case for file in FILES for case in cases.read(HERE / "sql" / f"{file}.txt")]
DOCUMENTED = cases.read(QUERY_TESTS / "sql" / "standard.txt")
TRANSLATED = [case for case in cases.read(QUERY_TESTS / "translations" / "flink.txt") if "refused" not in case.name]
RUNS = [(case, False) for case in STANDARD + DOCUMENTED] + [(case, True) for case in TRANSLATED]
(EDGE,) = cases.read(HERE / "sql" / "edge.txt")


@pytest.fixture(scope="module")
def results():
    """The folder of each run, after Flink's."""
    with tempfile.TemporaryDirectory(prefix="millstream-engines-") as root:
        runs = [*RUNS, (EDGE, False)]
        folders = [pathlib.Path(root) / f"{number:03}" for number in range(len(runs))]
        for folder, (case, translated) in zip(folders, runs):
            prepare(folder, case, translated)
        flink.run(root)
        yield folders


def prepare(folder, case, translated):
    """Writes a case for both engines. Tables that are translated have times as SQL does, but those of Stream Analytics."""
    spell = generate.iso
    if translated:
        spell = generate.zoned if case.dialect == "stream-analytics" else generate.spaced
    millstream.write(folder, case, spell)
    (folder / "out").mkdir()
    (folder / "query.sql").write_text(millstream.translated(folder, case) if translated else case.query)


@pytest.mark.parametrize("number", range(len(RUNS)), ids=[f"{case.name}{' (translated)' * translated}" for case, translated in RUNS])
def test_rows_are_those_of_flink(results, number):
    folder, (case, translated) = results[number], RUNS[number]
    refused = folder / "refused"
    assert not refused.exists(), refused.read_text()
    # What is an error of one row here is left out there by a condition.
    for output, own in millstream.rows(folder, case, refusals=translated).items():
        millstream.check_same(own, flink.rows(folder, output))


def test_a_row_behind_the_watermark_is_dropped_where_flink_takes_it_while_its_window_is_open(results):
    own = millstream.rows(results[-1], EDGE, refusals=True)["o"]
    assert [row["s"] for row in own] == [1 + 2, 8]
    assert [row["s"] for row in flink.rows(results[-1], "o")] == [1 + 2 + 4, 8]
