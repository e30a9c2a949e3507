"""Real horovodrun: groups of ranks give the same values, and never wait for each other."""

import pytest

import xnas_tf as xt
from tests.e2e.conftest import tiny
from tests.e2e.launches import needs_horovod
from tests.e2e.test_horovod import PLAIN, TOGETHER, horovodrun

pytestmark = needs_horovod

SAME = [
    "search={candidates: 4, population: 4, mode: generational}",
    "training={epochs: 2, batch_size: 64, learning_rate: 0.05}",
]
"""All four candidates are of the first generation, whatever the groups."""


def found(folder, ranks, size, words):
    folder.mkdir()
    (folder / "plain.py").write_text(PLAIN + TOGETHER)
    words = [*words, "--set", f"distributed.ranks_per_candidate={size}", "--run-dir", "run"]
    horovodrun("search", *words, cwd=folder, ranks=ranks)
    run = xt.load_run(folder / "run")
    assert run.groups() == (ranks // size, size)
    return {c.genotype: c for c in run.candidates()}


def test_values_do_not_depend_on_the_groups_without_batch_norm(tmp_path):
    sources = "objectives.1.sources=[grad_cam, integrated_gradients, activations]"
    words = tiny("space={hypermodel: 'plain:build'}", sources, *SAME)
    # Alone in its group a rank is one process.
    kinds = {"np2k2": (2, 2), "np4k2": (4, 2), "np4k1": (4, 1)}
    runs = {name: found(tmp_path / name, *kind, words) for name, kind in kinds.items()}
    reference = runs.pop("np4k1")
    assert len(reference) == 4 and {c.group for c in reference.values()} == {0, 1, 2, 3}
    for candidates in runs.values():
        check_same(candidates, reference)


def test_nor_where_steps_are_so_few_that_they_are_not_traced(tmp_path):
    few = "training={epochs: 1, batch_size: 600, learning_rate: 0.05}"
    words = tiny("space={hypermodel: 'plain:build'}", *SAME, few)
    together, apart = (found(tmp_path / f"k{size}", 2, size, words) for size in (2, 1))
    check_same(together, apart)


def check_same(candidates, reference):
    assert set(candidates) == set(reference)
    for genotype, candidate in candidates.items():
        other = reference[genotype]
        assert candidate.state == "done" and candidate.seed == other.seed
        assert candidate.objectives == pytest.approx(other.objectives, rel=1e-4, abs=1e-6)
        for name in ("loss", "val_loss"):
            losses = [[epoch[name] for epoch in c.history] for c in (candidate, other)]
            assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        assert candidate.seconds["communication"] > 0
