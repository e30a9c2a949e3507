"""Real Ray on this machine: groups give the same values, are replaced, and leave nothing behind."""

import signal
import subprocess
import time

import pytest

import xnas_tf as xt
from tests.e2e.clusters import SECONDS, checkpoints, nodes, ranks_of, started, wait_until
from tests.e2e.conftest import BIN, environment, plain, tiny, xnas
from tests.e2e.records import candidates_of, check_whole, needs_horovod
from tests.e2e.test_horovod import horovodrun

ray = pytest.importorskip("ray")

SAME = "search={candidates: 4, population: 4, mode: generational}"
"""All candidates are of the first generation, whoever ends first."""
LONG = "training={epochs: 16, batch_size: 16, checkpoint_minutes: 0.02}"
"""Long enough to be killed amid a training, with a checkpoint every second or so."""


def found(folder, *words):
    xnas("search", *words, "--run-dir", "run", cwd=folder)
    return {c.genotype: c for c in xt.load_run(folder / "run").candidates()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds."""
    folder = tmp_path_factory.mktemp("alone")
    return found(folder, *tiny(SAME, "training={epochs: 2, batch_size: 64}"))


@pytest.mark.long
def test_groups_of_one_rank_find_what_one_process_finds(tmp_path, alone):
    words = tiny(SAME, "training={epochs: 2, batch_size: 64}")
    threads = ["--set", "distributed.threads_per_rank=1"]
    candidates = found(tmp_path, *words, *threads, "--engine", "ray", "--groups", 2)
    assert candidates.keys() == alone.keys()
    assert {c.group for c in candidates.values()} == {0, 1}
    for genotype, candidate in candidates.items():
        assert candidate.objectives == alone[genotype].objectives
        assert candidate.history == alone[genotype].history


@needs_horovod
@pytest.mark.long
def test_a_group_on_two_nodes_finds_what_horovodrun_finds_without_batch_norm(tmp_path):
    words = plain(tmp_path, SAME)
    horovodrun("search", *words, "--run-dir", "job", cwd=tmp_path)
    job = {c.genotype: c for c in xt.load_run(tmp_path / "job").candidates()}
    with nodes("a", "b") as cluster:
        more = ["--set", "distributed.ranks_per_candidate=2", "--address", cluster.address]
        process = started(tmp_path, *words, *more, variables=cluster.environment)
        assert process.wait(SECONDS) == 0, (tmp_path / "stderr").read_text()
    run = xt.load_run(tmp_path / "run")
    assert run.groups() == (1, 2)
    candidates = {c.genotype: c for c in run.candidates()}
    assert candidates.keys() == job.keys()
    for genotype, candidate in candidates.items():
        other = job[genotype].objectives
        assert candidate.objectives == pytest.approx(other, rel=1e-4, abs=1e-6)
        assert candidate.seconds["communication"] > 0


@pytest.mark.long
def test_a_node_that_is_lost_and_comes_back_is_used_again(tmp_path):
    words = tiny("search={candidates: 40, population: 4}", "objectives=[error, parameters]")
    with nodes("a", "b") as cluster:
        words = [*words, "--address", cluster.address]
        process = started(tmp_path, *words, variables=cluster.environment)
        wait_until(lambda: process.poll() or {c.group for c in done(tmp_path)} == {0, 1})
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        cluster.remove("b")
        wait_until(lambda: "was lost and is replaced" in (tmp_path / "stderr").read_text())
        lost = len(done(tmp_path))
        wait_until(lambda: len(done(tmp_path)) > lost)  # the other one goes on
        assert len(cluster.ranks()) == 1
        cluster.add("b")
        wait_until(lambda: len({c.group for c in done(tmp_path)[-3:]}) == 2)
        assert process.poll() is None
        process.kill()


def done(folder):
    """The candidates that have ended, in this order."""
    ended = [c for c in candidates_of(folder / "run") if c.finish_order]
    return sorted(ended, key=lambda c: c.finish_order)


def in_groups(folder):
    """The candidates that groups are training."""
    return [c for c in candidates_of(folder / "run") if c.state == "running" and c.group >= 0]


def test_a_killed_rank_costs_its_group_alone(tmp_path):
    words = plain(
        tmp_path,
        "training={epochs: 30, batch_size: 16, checkpoint_minutes: 0.02}",
        "search={candidates: 3, population: 3}",
        "objectives=[error, parameters]",
    )
    process = started(tmp_path, *words, "--engine", "ray", "--groups", 2)
    wait_until(lambda: len(in_groups(tmp_path)) == 2 and checkpoints(tmp_path))
    ranks_of(process)[0].kill()
    assert process.wait(SECONDS) == 0, (tmp_path / "stderr").read_text()
    candidates = check_whole(tmp_path / "run", 3)
    # A loss after a new checkpoint does not count, and the other group's may have been the first.
    assert sum(c.lost_groups for c in candidates) <= 1
    assert all(c.state == "done" for c in candidates)
    assert (tmp_path / "stderr").read_text().count("was lost and is replaced") == 1


@pytest.mark.long
def test_ctrl_c_saves_and_the_same_command_resumes(tmp_path):
    words = tiny(LONG, "search={candidates: 3, population: 2}", "objectives=[error, parameters]")
    words = [*words, "--engine", "ray", "--groups", 2]
    process = started(tmp_path, *words)
    wait_until(lambda: checkpoints(tmp_path))
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, (tmp_path / "stderr").read_text()
    assert time.monotonic() - begin < 25
    assert checkpoints(tmp_path)
    xnas("search", *words, "--run-dir", "run", cwd=tmp_path)
    assert all(c.state == "done" for c in check_whole(tmp_path / "run", 3))


def test_a_cluster_without_a_token_is_not_joined(tmp_path):
    words = [*tiny(), "--run-dir", "run", "--address", "127.0.0.1:6399"]
    home = {"HOME": str(tmp_path)}
    done = subprocess.run(
        [str(BIN / "xnas-tf"), "search", *map(str, words)],
        cwd=tmp_path,
        env={**environment(), **home},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "--insecure" in done.stderr
    assert not (tmp_path / "run").exists()
