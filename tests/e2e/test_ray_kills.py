"""Real kills at random instants: a search on Ray loses and repeats nothing."""

import random
import textwrap
import time

import psutil
import pytest

from tests.e2e.clusters import nodes, ranks_of, started, wait_until
from tests.e2e.conftest import tiny
from tests.e2e.records import candidates_of, check_whole
from xnas_tf.candidate import NO_GROUP

BRAKE = textwrap.dedent("""
    # A user's measure that lets a search come near its end, and further when a file is gone:
    # however fast the machine is, there is something to kill.
    import sqlite3, time
    from pathlib import Path
    from xnas_tf.utils.heartbeat import report_progress
    from xnas_tf.objectives.performance import Error

    def ended():
        query = "SELECT count(*) FROM candidates WHERE state IN ('done', 'failed')"
        connection = sqlite3.connect("run/run.sqlite", timeout=60)
        try:
            return connection.execute(query).fetchone()[0]
        finally:
            connection.close()

    class Braked(Error):
        name: str = "braked"

        def score(self, subject):
            while Path("brake").exists() and ended() >= int(Path("brake").read_text()):
                report_progress()
                time.sleep(0.05)
            return super().score(subject)
""")


@pytest.mark.long
@pytest.mark.parametrize("kills", [4, 200])
def test_kills_of_ranks_and_nodes_lose_and_repeat_nothing(tmp_path, kills):
    run, rng, wanted = tmp_path / "run", random.Random(0), 2 * kills + 20
    (tmp_path / "brake.py").write_text(BRAKE)
    (tmp_path / "brake").write_text("10")
    words = tiny(f"search={{candidates: {wanted}, population: 6}}")
    words += ["--set", "objectives=[{name: 'brake:Braked'}, {name: introspectability, images: 50}]"]
    with nodes("a", "b") as cluster:
        words += ["--address", cluster.address]
        process = started(tmp_path, *words, variables=cluster.environment)
        known = {}
        for number in range(kills):
            # In turns while they start, and while they train: a search whose ranks are killed again
            # and again before they have reached anything is rightly given up.
            wait_until(lambda: len(cluster.ranks()) == 2)
            if number % 2:
                wait_until(lambda: process.poll() is not None or all_train(run))
            time.sleep(rng.uniform(0, 3))
            assert process.poll() is None, (tmp_path / "stderr").read_text()
            found = finished(run)
            assert known.items() <= found.items()
            known = found
            if rng.random() < 0.25:
                name = rng.choice("ab")
                cluster.remove(name)
                cluster.add(name)
            else:
                kill(rng.choice(cluster.ranks() or [None]))
            # Some may end before the next: a search that only loses groups is rightly given up.
            (tmp_path / "brake").write_text(str(12 + 2 * number))
        (tmp_path / "brake").unlink()
        assert process.wait(500) == 0, (tmp_path / "stderr").read_text()
    assert known.items() <= finished(run).items()
    check_whole(run, wanted)


@pytest.mark.long
@pytest.mark.parametrize("kills", [1, 20])
def test_kills_of_the_driver_leave_no_rank_behind_and_the_same_command_resumes(tmp_path, kills):
    rng, known = random.Random(0), {}
    wanted = 4 + kills
    words = [*tiny(f"search={{candidates: {wanted}, population: 4}}"), "--groups", 2]
    for _ in range(kills):
        process = started(tmp_path, *words)
        wait_until(lambda process=process: len(ranks_of(process)) == 2)
        time.sleep(rng.uniform(0, 15))
        ranks, family = ranks_of(process), psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for processes, seconds in ((ranks, 60), (family, 300)):  # Ray's own take longer to notice
            _, alive = psutil.wait_procs(processes, timeout=seconds)
            assert not alive, [p.cmdline() for p in alive]
        found = finished(tmp_path / "run")
        assert known.items() <= found.items()
        known = found
    process = started(tmp_path, *words)
    assert process.wait(500) == 0, (tmp_path / "stderr").read_text()
    assert known.items() <= finished(tmp_path / "run").items()
    check_whole(tmp_path / "run", wanted)


def finished(run):
    """What is known for good by now."""
    known = [c for c in candidates_of(run) if c.finish_order]
    return {c.genotype: (c.id, c.started, c.objectives) for c in known}


def all_train(run):
    """Whether two groups have a candidate: while a node that was lost still counts there may be a
    third group, which waits for a place."""
    running = {c.group for c in candidates_of(run) if c.state == "running"}
    return len(running - {NO_GROUP}) == 2


def kill(process):
    """Kills it, unless it has just ended."""
    try:
        if process:
            process.kill()
    except psutil.Error:
        pass
