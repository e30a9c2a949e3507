"""Which GPUs and how many threads a rank takes."""

import os
import sys

import pytest
import tensorflow as tf

from xnas_tf.distributed import SingleProcess
from xnas_tf.distributed.start import _THREADS, _join, _use_devices
from xnas_tf.errors import InputError, RunError


@pytest.fixture
def taken(monkeypatch):
    """Lets a host have so many GPUs; gives those that a rank made visible for itself."""

    def use(gpus, local_rank, local_size):
        devices = [
            tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU") for n in range(gpus)
        ]
        visible, growing = list(range(gpus)), []
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: devices)
        monkeypatch.setattr(
            tf.config.experimental, "set_memory_growth", lambda gpu, _: growing.append(gpu)
        )
        monkeypatch.setattr(
            tf.config,
            "set_visible_devices",
            lambda gpu, _: visible.__setitem__(slice(None), [devices.index(gpu)]),
        )
        _use_devices(local_rank, local_size, threads=None, branches=1)
        assert growing == devices
        return visible

    for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):
        monkeypatch.setattr(tf.config.threading, name, lambda _: None)
    return use


def test_each_local_rank_takes_a_gpu_of_its_own(taken):
    assert [taken(4, rank, 4) for rank in range(4)] == [[0], [1], [2], [3]]


def test_the_gpu_that_a_launcher_bound_to_a_rank_is_its_own(taken):
    assert [taken(1, rank, 4) for rank in range(4)] == [[0]] * 4


def test_one_process_takes_all_and_none_is_fine(taken):
    assert taken(2, 0, 1) == [0, 1] and taken(0, 1, 2) == []


def test_more_ranks_than_gpus_are_refused(taken):
    with pytest.raises(InputError, match="4 ranks were started on this host, which has 2 GPUs"):
        taken(2, 0, 4)


@pytest.fixture
def threads(monkeypatch):
    """The threads within and between operations on a host of eight cores; None: TensorFlow's."""

    for name in _THREADS:
        monkeypatch.delenv(name, raising=False)

    def use(local_size, threads, branches):
        chosen = [None, None]
        for i, name in enumerate(("intra", "inter")):
            setter = f"set_{name}_op_parallelism_threads"
            save = lambda count, i=i: chosen.__setitem__(i, count)  # noqa: E731
            monkeypatch.setattr(tf.config.threading, setter, save)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
        _use_devices(0, local_size, threads, branches)
        return tuple(chosen)

    return use


def test_ranks_of_a_host_share_its_cores_and_operations_that_run_at_once_do(threads):
    assert threads(1, None, 1) == (None, None)
    assert threads(4, None, 1) == (2, 2) and threads(1, None, 2) == (4, 8)
    assert threads(4, None, 2) == (1, 2) and threads(8, None, 2) == threads(9, None, 2) == (1, 1)
    assert threads(1, 6, 1) == (6, 6) and threads(4, 6, 2) == (3, 6)


def test_what_the_environment_says_of_threads_counts(threads, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "3")
    assert threads(1, None, 2) == threads(4, None, 1) == (None, None)
    assert threads(1, 6, 2) == (3, 6)


def test_threads_that_can_no_longer_be_set_are_not_ignored_silently(monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("cannot be modified after initialization")

    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", refuse)
    _use_devices(0, 1, threads=None, branches=2)  # nothing was asked for
    assert not caplog.records
    _use_devices(0, 1, threads=3, branches=1)
    assert "distributed.threads_per_rank: given 3, which has no effect" in caplog.text


def test_a_rank_without_horovod_says_how_to_build_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod.tensorflow", None)  # cannot be imported
    assert isinstance(_join(), SingleProcess)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(RunError, match="one of several ranks.*bin/setup horovod"):
        _join()
