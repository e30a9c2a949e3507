"""Shared fixtures. Everything tests write goes into temporary folders."""

import gc
import itertools
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from xnas_tf.utils.environment import set_defaults

set_defaults()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from hypothesis import settings  # noqa: E402

from xnas_tf.data import Dataset, Split  # noqa: E402
from xnas_tf.distributed import SingleProcess  # noqa: E402
from xnas_tf.training.step import Step  # noqa: E402

# Keras before 3.13 clears what belongs to other threads too; ranks are processes, but not here.
CLEARS_ALL_THREADS = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13)

# A busy machine is no reason to fail: hypothesis' default deadline is 0.2 s an example.
settings.register_profile("all", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("all" if os.environ.get("XNAS_TF_TESTS") == "all" else "quick")
# As every process of xnas-tf does: else the same training may give other last digits.
tf.config.experimental.enable_op_determinism()
# Each rank that is a thread waits for the others in an operation, which holds a thread of these.
tf.config.threading.set_inter_op_parallelism_threads(4)


@pytest.fixture(scope="module", autouse=True)
def freeze_imported():
    """Keep what is imported out of ``gc.collect``, with which ``clear_session`` took 0.3 s."""
    if not gc.get_freeze_count():  # at first, and after a search, which takes such care itself
        gc.collect()
        gc.freeze()


def make_dataset(count=60, shape=(8, 8, 1), classes=3, seed=0, mirrored=False) -> Dataset:
    """Images whose class is shown by which rows are bright: easy to learn."""
    rng = np.random.default_rng(seed)

    def part(size):
        labels = (np.arange(size) % classes).astype(np.int32)
        images = rng.integers(0, 60, (size, *shape))
        for image, label in zip(images, labels, strict=True):
            image[label * 2 : label * 2 + 2] += 180
        return Split(images.astype(np.uint8), labels)

    names = tuple(f"class {i}" for i in range(classes))
    return Dataset("stripes", names, part(count), part(30), part(30), mirrored)


def left_to_all(*parameters):
    """Parameters of a test that only ``bin/test all`` runs."""
    return [
        pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.long)
        for each in parameters
    ]


@contextmanager
def out_of_memory_in_third_call():
    """Inside, the third call of training steps fails."""
    run, calls = Step.__call__, itertools.count()

    def fails(self, *batches):
        if next(calls) == 2:
            raise RuntimeError("out of memory")
        return run(self, *batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "__call__", fails)
        yield


@pytest.fixture
def dataset():
    """Three classes of 8x8 grey images."""
    return make_dataset()


class _ThreadRank(SingleProcess):
    """A rank that is a thread; what it says to the others waits for them."""

    def __init__(self, rank, size, shared, barrier):
        self.rank, self.size, self._shared, self._barrier = rank, size, shared, barrier

    def _exchange(self, mine, combine):
        self._shared[self.rank] = mine
        self._barrier.wait(timeout=120)
        result = combine(self._shared)
        self._barrier.wait(timeout=120)
        return result

    def broadcast(self, message=None):
        return json.loads(self._exchange(json.dumps(message), lambda shared: shared[0]))

    def sum(self, *arrays):
        return self._exchange(
            arrays, lambda shared: [np.sum(parts, axis=0) for parts in zip(*shared, strict=True)]
        )

    def broadcast_variables(self, variables):
        mine = [np.array(variable) for variable in variables]
        values = self._exchange(mine, lambda shared: shared[0])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def sum_tensors(self, tensors, name):
        kinds = [tensor.dtype for tensor in tensors]
        totals = tf.nest.flatten(tf.numpy_function(self.sum, list(tensors), kinds))
        for total, tensor in zip(totals, tensors, strict=True):
            total.set_shape(tensor.shape)
        return totals


def on_ranks(size: int, work) -> list:
    """What ``work(communicator)`` returns on each of several ranks, which are threads here."""
    shared, barrier = [None] * size, threading.Barrier(size)

    def run(rank):
        try:
            return work(_ThreadRank(rank, size, shared, barrier))
        except BaseException:
            barrier.abort()
            raise

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(size) as pool:
        if CLEARS_ALL_THREADS:
            patch.setattr(keras.backend, "clear_session", lambda: None)
        return list(pool.map(run, range(size)))
