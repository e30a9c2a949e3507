"""horovodrun over ssh to two hosts with two ranks each."""

import time

import xnas_tf as xt
from tests.e2e.conftest import BIN, tiny
from tests.e2e.hosts import INTERFACE, two_hosts  # noqa: F401  # a fixture
from tests.e2e.launches import needs_horovod
from tests.e2e.test_horovod import IN_PLAIN, PLAIN, TOGETHER
from xnas_tf.errors import InputError

pytestmark = needs_horovod


def test_a_search_on_two_hosts(two_hosts, tmp_path):  # noqa: F811
    """A group on each host: the leader of the second one reaches rank 0's queue."""
    (tmp_path / "plain.py").write_text(PLAIN + TOGETHER)  # nothing in it is infeasible
    words = [*IN_PLAIN, "--set", "search={candidates: 8, population: 4}"]
    words += ["--set", "distributed.ranks_per_candidate=2"]
    job = two_hosts.horovodrun(
        *(BIN / "xnas-tf", "search", *words, "--run-dir", tmp_path / "run"), cwd=tmp_path
    )
    out, err = job.communicate(timeout=540)
    assert job.returncode == 0, f"{out}\n{err}"
    # horovodrun marks each line with the rank that printed it
    assert "[0]<stdout>" in out
    assert not any(f"[{rank}]<stdout>" in out for rank in (1, 2, 3))
    candidates = xt.load_run(tmp_path / "run").candidates()
    assert [candidate.state for candidate in candidates] == ["done"] * 8
    assert {candidate.group for candidate in candidates} == {0, 1}


def test_when_a_host_loses_power_launch_goes_on_with_the_other(two_hosts, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    words = ["launch", "-np", 2, *two_hosts.options(slots=1), "--min-np", 1]
    words += ["--", "search", "--run-dir", run]
    words += tiny("distributed.ranks_per_candidate=1", "search={candidates: 20, population: 4}")
    job = two_hosts.start_job(BIN / "xnas-tf", *map(str, words), cwd=tmp_path)
    _wait(lambda: len(_ended(run)) >= 2, seconds=200)
    two_hosts.kill("hostb")
    before = _ended(run)
    out, err = job.communicate(timeout=400)
    assert job.returncode == 0, f"{out}\n{err}"
    assert "host hostb cannot be reached by ssh; going on without it if we may" in err
    after = _ended(run)
    assert before.items() <= after.items()
    assert sum(candidate.trained for candidate in xt.load_run(run).candidates()) == 20
    assert xt.load_run(run).groups() == (1, 1)


def test_a_single_rank_on_another_host_ends_with_its_launcher(two_hosts, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    words = ["-np", "1", *two_hosts.options(1, ["hosta"]), "--disable-cache"]
    # With a single host horovodrun may take lo for the interface that all have (measured).
    words += ["--network-interface", INTERFACE, BIN / "xnas-tf", "search", "--run-dir", run]
    words += tiny("training={epochs: 4000, batch_size: 16}", "objectives=[error, parameters]")
    job = two_hosts.start_job(BIN / "horovodrun", *words, cwd=tmp_path)
    _wait(lambda: _candidates(run), seconds=200)
    assert two_hosts.processes("hosta", str(run))
    job.kill()
    _wait(lambda: not two_hosts.processes("hosta", str(run)), seconds=60)


def _candidates(run):
    try:
        return xt.load_run(run).candidates()
    except InputError:  # not there yet, or not whole
        return []


def _ended(run):
    return {c.genotype: (c.id, c.started) for c in _candidates(run) if c.answer}


def _wait(done, seconds):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"nothing happened in {seconds} s"
        time.sleep(0.1)
