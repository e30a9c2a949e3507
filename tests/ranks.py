"""Ranks that are threads, and failures of them."""

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.distributed import SingleProcess
from xnas_tf.training.step import Step

# Keras before 3.13 clears what belongs to other threads too; ranks are processes, but not here.
CLEARS_ALL_THREADS = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13)


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
