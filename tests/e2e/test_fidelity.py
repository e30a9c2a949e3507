"""Successive halving with real trainings, real kills and real ranks."""

import signal

import pytest

import xnas_tf as xt
from tests.e2e.clusters import wait_until
from tests.e2e.conftest import tiny, xnas
from tests.e2e.records import candidates_of
from tests.e2e.test_durability import start, wait_for

RUNGS = tiny("search={candidates: 6, population: 3, fidelity: {epochs: [1, 3]}}")
RUNGS[RUNGS.index("training={epochs: 1, batch_size: 64}")] = (
    "training={batch_size: 64, schedule: constant}"
)


def by_rung(run):
    """Candidates by genotype and epochs, all done, promotions with nothing odd about them."""
    found = {(c.genotype, c.epochs): c for c in xt.load_run(run).candidates()}
    for (genotype, epochs), candidate in found.items():
        assert candidate.state == "done" and len(candidate.history) == epochs
        if candidate.promoted_from:
            below = found[genotype, 1]
            assert (candidate.promoted_from, epochs) == (below.id, 3)
            assert candidate.history[:1] == below.history
            assert "trained from scratch" not in candidate.reason
            assert "ignored" not in candidate.reason
    return found


@pytest.mark.long
def test_promotions_go_on_after_a_kill_and_end_as_trainings_in_full(tmp_path):
    killed, full = tmp_path / "killed", tmp_path / "full"
    words = ["search", *RUNGS, "--set", "search.candidates=3", "--run-dir", killed]
    process = start(*words, cwd=tmp_path)
    wait_for(process, "3/3")
    wait_until(lambda: len(candidates_of(killed)) == 4)  # one of three is promoted
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert [c.epochs for c in xt.load_run(killed).candidates()] == [1, 1, 1, 3]
    assert "epochs" in xnas(*words, cwd=tmp_path).stdout
    by_rung(killed)
    assert not list(killed.glob("checkpoints/*"))
    (promoted,) = xt.load_run(killed).pareto()
    assert promoted.epochs == 3 and "test_accuracy" in promoted.metrics
    promoted.load_model()
    words = tiny(
        "training.epochs=3", "training.schedule=constant", "search={candidates: 3, population: 3}"
    )
    xnas("search", *words, "--run-dir", full, cwd=tmp_path)
    in_full = by_rung(full)[promoted.genotype, 3]
    assert (promoted.objectives, promoted.history) == (in_full.objectives, in_full.history)


@pytest.mark.long
def test_groups_hand_trainings_to_each_other(tmp_path):
    xnas("search", *RUNGS, "--groups", 2, "--run-dir", "run", cwd=tmp_path)
    found = by_rung(tmp_path / "run")
    assert sum(epochs == 1 for _, epochs in found) == 6
    assert sum(epochs == 3 for _, epochs in found) >= 2
    assert {c.group for c in found.values()} == {0, 1}
