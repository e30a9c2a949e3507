"""Real kills at random instants: xnas-tf launch loses and repeats nothing."""

import random
import textwrap
import time

import psutil

from tests.e2e.conftest import tiny
from tests.e2e.launches import candidates_of, check_whole, needs_horovod, ranks_of
from xnas_tf.run.directory import now

pytestmark = needs_horovod

KILLS = 20
WANTED = 40
BRAKED = WANTED - 12
"""Candidates that end before the last kill, or a few more: both groups must still find one after
each kill, and two kills fail a candidate."""
BRAKE = textwrap.dedent(f"""
    # A user's measure that lets a search come near its end, and further when a file is gone:
    # however fast the machine is, there is something to kill.
    import os, sqlite3, time
    from pathlib import Path
    from xnas_tf.heartbeat import beat
    from xnas_tf.objectives.performance import Error

    def is_near_the_end():
        query = "SELECT count(*) FROM candidates WHERE state IN ('done', 'failed')"
        connection = sqlite3.connect("run/run.sqlite", timeout=60)
        try:
            return connection.execute(query).fetchone()[0] >= {BRAKED}
        finally:
            connection.close()

    class Braked(Error):
        name: str = "braked"

        def score(self, subject):
            while Path("brake").exists() and is_near_the_end():
                beat()
                time.sleep(0.05)
            return super().score(subject)
""")


def test_kills_at_twenty_random_instants_lose_and_repeat_nothing(tmp_path, launch):
    run, rng = tmp_path / "run", random.Random(0)
    (tmp_path / "brake.py").write_text(BRAKE)
    (tmp_path / "brake").touch()
    words = ["search", "--run-dir", run, *tiny("distributed.ranks_per_candidate=1")]
    words += ["--set", f"search={{candidates: {WANTED}, population: 6}}"]
    words += ["--set", "objectives=[{name: 'brake:Braked'}, {name: introspectability, images: 50}]"]
    process = launch(2, words, more=["--restarts", "40"])
    killed, known = 0, {}
    while killed < KILLS:
        ranks = wait_for_start(process)
        begin = now()
        # In turns while they start, and while they train: a start that is killed again and again
        # before it has reached anything is rightly given up.
        if killed % 2:
            wait_until_all_train(process, run, begin)
        time.sleep(rng.uniform(0, 3))
        found = finished(run)
        assert known.items() <= found.items()
        known = found
        if kill(rng.choice(ranks)):
            killed += 1
            psutil.wait_procs(ranks, timeout=60)
    (tmp_path / "brake").unlink()
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    assert known.items() <= finished(run).items()
    check_whole(run, WANTED)


def finished(run):
    """What is known for good by now."""
    return {c.genotype: (c.id, c.started, c.objectives) for c in candidates_of(run) if c.answer}


def wait_for_start(process):
    """Both ranks of the next start."""
    return wait(process, lambda: len(ranks := ranks_of(process)) == 2 and ranks)


def wait_until_all_train(process, run, since):
    """Until both groups have been handed a candidate since then."""
    wait(process, lambda: len({c.group for c in candidates_of(run) if c.started >= since}) == 2)


def wait(process, done, seconds=300):
    """Waits for something that a search comes to, however slow the machine is; returns it."""
    end = time.monotonic() + seconds
    while not (found := done()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"nothing happened in {seconds} s"
        time.sleep(0.05)
    return found


def kill(process):
    try:
        process.kill()
        return True
    except psutil.Error:
        return False
