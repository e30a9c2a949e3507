"""What a search on Ray consists of, without Ray: the engine, the mailbox, candidates requeued."""

import asyncio
import pickle
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tests.unit.test_conductor import configuration, result_of, search_of
from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.launcher import search as engine
from xnas_tf.launcher.ray.mailbox import Mailbox
from xnas_tf.storage.run_directory import open_database

LAUNCHERS = ("HOROVOD_RANK", "HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_ID")


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No launcher, no cluster and no GPU."""
    for name in (*LAUNCHERS, "RAY_ADDRESS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engine, "_GPUS", engine.Path("/nonexistent"))


def chosen(wanted="auto", address=None, **more):
    given = {"engine": wanted, **more}
    words = [f"distributed.{name}={value}" for name, value in given.items()]
    return engine.chosen_engine(load_config(overrides=words).distributed, address)


def test_the_engine_follows_from_where_the_process_was_started(monkeypatch):
    assert chosen() == "local"
    assert chosen(groups=2) == "ray" and chosen(address="auto") == "ray"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert chosen() == "ray"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert chosen() == "local" and chosen("ray") == "ray"
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert chosen() == "horovod" and chosen("horovod") == "horovod"
    for wanted in ("ray", "local"):
        with pytest.raises(InputError, match=f"given '{wanted}', but .* started 2 ranks"):
            chosen(wanted)


def test_groups_and_clusters_are_of_ray_alone(monkeypatch):
    with pytest.raises(InputError, match="distributed.groups: given 2, .* is local"):
        chosen("local", groups=2)
    with pytest.raises(InputError, match="`address`: given a:1, .* is local"):
        chosen("local", address="a:1")
    monkeypatch.setenv("HOROVOD_RANK", "0")
    with pytest.raises(InputError, match="distributed.groups: given 2, .* is horovod"):
        chosen(groups=2)
    assert chosen(address="auto") == "ray"  # srun started Ray, and Ray the command


def test_horovod_needs_a_launcher():
    with pytest.raises(InputError, match="horovodrun -np RANKS"):
        chosen("horovod")


def test_questions_wait_for_their_answers_and_heartbeats_for_nobody():
    async def talk():
        mailbox = Mailbox()
        assert (await mailbox.questions(0.01)) == ([], {})
        asked = [asyncio.create_task(mailbox.ask("known", number)) for number in (1, 2)]
        (first, second), _ = await mailbox.questions(10)
        assert [first[1:], second[1:]] == [("known", (1,)), ("known", (2,))]
        assert await mailbox.report_progress(7) == 0
        await mailbox.stop(130)
        assert await mailbox.report_progress(7) == 130
        _, silences = await mailbox.questions(0.01)
        assert 0 <= silences[7] < 10
        asked[0].cancel()  # its rank died
        await mailbox.answer({first[0]: "gone", second[0]: "two"})
        assert await asked[1] == "two"

    asyncio.run(talk())


def test_what_the_mailbox_passes_on_needs_no_tensorflow():
    """It would import TensorFlow to unpickle it, in a process that does nothing else."""
    data = pickle.dumps((Candidate(1, "g", {}), Result("done")))
    script = f"import pickle, sys; pickle.loads({data!r}); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_candidate_that_lost_its_group_is_next_in_line_and_fails_at_the_second_time(tmp_path):
    config = configuration(4, 2)
    record = open_database(tmp_path, config)
    coordinator = Coordinator(tmp_path, config, record, search_of(config))
    with coordinator.transaction():
        task = coordinator.ask(0)
        coordinator.requeue(task, "killed")
        coordinator.save_checkpoint(task, b"half")  # sent before the group was lost
        again = coordinator.ask(1)
        assert (again.id, again.group, again.lost_groups) == (task.id, 1, 1)
        assert coordinator.checkpoint(again) == b"half"
        coordinator.requeue(again, "killed")
        other = coordinator.ask(0)
        coordinator.tell(other, result_of(other))
        coordinator.requeue(other, "too late")
    failed, done = record.candidates()
    assert failed.state == "failed" and "died 2 times" in failed.reason
    assert done.lost_groups == 0 and done.state != "running"
    record.close()


@pytest.mark.parametrize(
    ("silences", "is_hung"), [({}, True), ({0: 5.0}, False), ({0: 99.0}, True)]
)
def test_a_group_that_never_made_a_step_hangs_too(silences, is_hung):
    """One that began its candidate 90 seconds ago, of which it may be silent for 60."""
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray.driver import Driver

    driver, replaced = Driver.__new__(Driver), []
    driver._config = load_config(overrides=["distributed.stall_minutes=1"])
    driver._silences, driver._coordinator = silences, Mock()
    driver._losses = Mock()
    driver._replace = lambda group, why: replaced.append(why)
    began = time.monotonic() - 90
    task = Candidate(3, "g", {})
    group = SimpleNamespace(number=0, nodes=(), task=task, is_starting=False, began=began)
    driver._check_hang(group)
    assert bool(replaced) == driver._coordinator.tell.called == is_hung


def test_a_group_that_does_not_get_ready_is_replaced():
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray.driver import STARTUP_FACTOR, Driver

    driver, replaced = Driver.__new__(Driver), []
    driver._config = load_config(overrides=["distributed.stall_minutes=1"])
    driver._silences = {}
    driver._replace = lambda group, why: replaced.append(why)
    for seconds in (59 * STARTUP_FACTOR, 61 * STARTUP_FACTOR):
        began = time.monotonic() - seconds
        group = SimpleNamespace(number=0, task=None, is_starting=True, began=began)
        driver._check_hang(group)
    assert replaced == ["it was not ready after 6 minutes"]


def test_a_group_avoids_a_node_that_it_was_lost_on_twice_in_a_row(monkeypatch):
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray import resources as module

    nodes = [{"NodeID": name, "Resources": {"CPU": 1}} for name in "abc"]
    monkeypatch.setattr(module, "alive_nodes", lambda: nodes)
    losses = module.LostGroups()
    losses.note(0, {"a"})
    losses.forget(0)
    losses.note(0, {"a"})
    assert losses.avoided(0, {"CPU": 1}) == []
    losses.note(0, {"a"})
    assert losses.avoided(0, {"CPU": 1}) == ["a"] and losses.avoided(1, {"CPU": 1}) == []
    assert losses.avoided(0, {"CPU": 2}) == []  # no other node has room
    del nodes[1:]
    assert losses.avoided(0, {"CPU": 1}) == []  # there is no other
    with pytest.raises(RunError, match="2 groups were lost in a row"):
        monkeypatch.setattr(module, "MAX_LOSSES", 1)
        losses.check(2, "killed")


@pytest.mark.parametrize(
    ("nodes", "groups", "size", "bundle", "fit"),
    [
        ([{"CPU": 2}], None, 1, {"CPU": 2}, 1),
        ([{"CPU": 2}], 2, 1, {"CPU": 1}, 2),
        ([{"CPU": 2}], None, 2, {"CPU": 1}, 1),
        ([{"CPU": 0}, {"CPU": 1}, {"CPU": 1}], None, 1, {"CPU": 1}, 2),
        ([{"CPU": 0}, {"CPU": 1}, {"CPU": 1}], None, 2, {"CPU": 1}, 1),
        ([{"CPU": 5}, {"CPU": 3}], 2, 1, {"CPU": 3}, 2),
        (
            [{"CPU": 8}, {"CPU": 64, "GPU": 8}, {"CPU": 8, "GPU": 2}],
            None,
            1,
            {"GPU": 1, "CPU": 4},
            10,
        ),
        ([{"CPU": 4, "GPU": 8}], 2, 4, {"GPU": 1, "CPU": 0.5}, 2),
        ([{"CPU": 0, "GPU": 1}, {"CPU": 8, "GPU": 2}], None, 1, {"GPU": 1, "CPU": 4}, 2),
        ([{"CPU": 0, "GPU": 1}], None, 1, {"CPU": 1}, 0),  # nothing may run on a head node
    ],
)
def test_what_a_rank_takes_leaves_room_for_all_groups(nodes, groups, size, bundle, fit):
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray.resources import bundle_for, fitting

    assert bundle_for(nodes, groups, size) == bundle
    assert fitting(nodes, bundle) // size == fit


def test_more_groups_than_this_machine_has_room_for_are_refused(monkeypatch):
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray import resources

    monkeypatch.setattr(resources, "_resources", lambda: [{"CPU": 2.0}])
    with pytest.raises(InputError, match="4 groups of 1 rank do not fit; .* 0 GPUs and 2 cores"):
        resources.Capacity(4, 1, is_local=True)
    assert resources.Capacity(4, 1, is_local=False)() == 4  # a cluster may grow
