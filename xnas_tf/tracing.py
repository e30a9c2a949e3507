"""Freeing what TensorFlow keeps of every graph that was traced with a custom gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework.ops import gradient_registry


@contextmanager
def forgotten_custom_gradients() -> Iterator[None]:
    """Forgets, at the end, the custom gradients of the graphs traced inside.

    Each use of ``tf.custom_gradient`` in a graph enters a closure in a table of the process,
    and the closure holds the graph with all that was traced. Every Keras optimizer uses one
    (``ReplicaContext.all_reduce``), so do ``tf.nn.silu`` and others: some 7 MB a candidate
    stayed for ever (benchmarks/memory.py; TensorFlow 2.18). What was traced inside can still
    be run afterwards, but no gradient can be traced through it. The table is the process's:
    what other threads trace meanwhile is forgotten too.
    """
    known = set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - known:
            del gradient_registry._registry[name]  # there is no public way
