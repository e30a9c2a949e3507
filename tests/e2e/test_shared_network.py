"""Real searches that train one network in place of those of all cells."""

import signal

import pytest

import xnas_tf as xt
from tests.e2e.conftest import tiny, xnas
from tests.e2e.records import needs_horovod
from tests.e2e.test_durability import start, wait_for
from tests.e2e.test_horovod import horovodrun

NOTE = "one supernet is traced and trained in place of each cell's own network"
WORDS = tiny(
    "search={candidates: 14, population: 14, mode: generational}",
    "training={epochs: 2, batch_size: 200}",
    "distributed.threads_per_rank=1",
)
"""Enough candidates for two groups to share a network in each, all of the first generation; and
as many threads in each process, on which roundings depend."""


def figures(path):
    """Losses and objectives by genotype."""
    candidates = xt.load_run(path).candidates()
    assert {c.state for c in candidates} == {"done"}
    return {c.genotype: (c.history, c.objectives) for c in candidates}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The figures of one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert NOTE in xnas("search", *WORDS, "--run-dir", "run", cwd=folder).stderr
    return figures(folder / "run")


def test_the_values_are_those_of_networks_of_their_own(alone, tmp_path):
    """Fewer candidates, for which sharing does not pay, are the first of the same search."""
    few = "search={candidates: 4, population: 14, mode: generational}"
    done = xnas("search", *WORDS, "--set", few, "--run-dir", "run", cwd=tmp_path)
    assert NOTE not in done.stderr
    for genotype, (history, objectives) in figures(tmp_path / "run").items():
        shared_history, shared_objectives = alone[genotype]
        for epoch, shared in zip(history, shared_history, strict=True):
            assert shared == pytest.approx(epoch, rel=1e-4, abs=1e-6)
        assert shared_objectives == pytest.approx(objectives, rel=1e-4, abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_it_goes_on_to_the_same_values(alone, tmp_path, how):
    process = start("search", *WORDS, "--run-dir", "run", cwd=tmp_path)
    wait_for(process, "3/14")
    process.send_signal(how)
    process.communicate()
    assert process.returncode in (130, -how)
    xnas("search", *WORDS, "--run-dir", "run", cwd=tmp_path)
    found = figures(tmp_path / "run")
    assert found.keys() == alone.keys()
    for genotype, (history, objectives) in found.items():
        for epoch, whole in zip(history, alone[genotype][0], strict=True):
            assert epoch == pytest.approx(whole, rel=1e-4, abs=1e-6)
        assert objectives == pytest.approx(alone[genotype][1], rel=1e-4, abs=1e-6)


@pytest.mark.long
def test_so_they_are_on_ray(alone, tmp_path):
    xnas("search", *WORDS, "--groups", 2, "--run-dir", "run", cwd=tmp_path)
    found = figures(tmp_path / "run")
    assert found.keys() == alone.keys()
    for genotype, (_, objectives) in found.items():
        assert objectives == pytest.approx(alone[genotype][1], rel=1e-4, abs=1e-6)


@needs_horovod
@pytest.mark.long
def test_two_ranks_train_it_together(tmp_path):
    done = horovodrun("search", *WORDS, "--run-dir", "run", cwd=tmp_path)
    assert NOTE in done.stderr + done.stdout
    assert len(figures(tmp_path / "run")) == 14
