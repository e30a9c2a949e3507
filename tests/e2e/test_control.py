"""XNAS's control: a search for error alone that records introspectability, killed and resumed."""

import csv
import io
import signal

from tests.e2e.conftest import ROOT, xnas
from tests.e2e.test_durability import done, start, wait_for

SMALL = [
    *("--set", "dataset=digits", "--set", "space.channels=2", "--set", "space.cells_per_stack=1"),
    *("--set", "training.epochs=1", "--set", "training.batch_size=64"),
    *("--set", "search.candidates=4", "--set", "search.population=2"),
]


def test_a_control_search_keeps_what_it_records_through_a_kill(tmp_path):
    run = tmp_path / "run"
    words = ["search", ROOT / "configs" / "xnas-cifar10-control.yaml", *SMALL, "--run-dir", run]
    process = start(*words, cwd=tmp_path)
    wait_for(process, "2/4")
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = done(run)
    assert len(before) >= 2
    xnas(*words, cwd=tmp_path)
    after = done(run)
    assert len(after) == 4
    for genotype, candidate in after.items():
        assert set(candidate.objectives) == {"error"}
        assert 0 <= candidate.metrics["introspectability"] <= 2
        if genotype in before:
            assert (
                candidate.metrics["introspectability"]
                == (before[genotype].metrics["introspectability"])
            )
    listed = xnas("pareto", run, "--all", "--format", "csv", cwd=tmp_path).stdout
    rows = csv.DictReader(io.StringIO(listed))
    values = {float(row["introspectability"]) for row in rows if row["state"] == "done"}
    assert values == {candidate.metrics["introspectability"] for candidate in after.values()}
    table = xnas("pareto", run, cwd=tmp_path).stdout
    assert "introspectability ↑ (recorded)" in table
    report = tmp_path / "report.html"
    xnas("report", run, "--out", report, "--models", "0", cwd=tmp_path)
    assert "introspectability ↑ (recorded)" in report.read_text().encode().decode("unicode_escape")
