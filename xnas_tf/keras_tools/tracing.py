"""Graphs that are traced for one model, run a few times and then freed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

FEW_RUNS = 4
"""As often a function may run without being traced. Tracing a training step of a network with
C=16, N=2 takes as long as some five steps that were not traced (benchmarks/throughput.py)."""
MANY_RUNS = 200
"""More often, and a loop of the graph pays, which takes 0.1 to 0.6 s longer to trace and up to 2 ms
less a training step: after 150 to 370 steps in seven of ten pairs of networks and threads, later or
never in the three others (benchmarks/calls.py)."""
FEW_PASSES = 1
"""As many passes through a network an attribution may take without being traced. On one core and
128 images of 8x8 pixels, which are one pass, Grad-CAM took 0.03 to 0.09 s instead of 0.14 to 0.31 s
and integrated gradients of 8 steps 0.10 to 0.27 s instead of 0.35 to 0.78 s. At 32x32 pixels and
C=16, N=2, two passes of Grad-CAM took 0.52 to 1.20 s instead of 0.42 to 0.74 s: outside of a graph
gradients of the weights, which nobody asked for, are computed too."""

_turn = threading.RLock()


def by_batches(
    function: Callable, kind: tf.DType, runs: int | None = None, at_once: int = 1
) -> Callable:
    """A function for stacks of batches that runs another on each batch: as it is, traced, or in a
    loop that is traced for stacks of any height, by how often it runs.

    Which of them depends on nothing that is measured, so that the same search gives the same
    values: traced and not traced differ in rounding.

    Args:
        function: Tensors (B, ...) -> a tensor.
        kind: Of what it returns.
        runs: On how many batches it will run, at most; many if None.
        at_once: How many batches a loop may work on at the same time.

    Returns:
        Arrays (K, B, ...) -> what the function returns of each batch, (K, ...).
    """
    if runs is not None and runs <= FEW_RUNS:
        return partial(_in_turn, function)
    if runs is not None and runs <= MANY_RUNS:
        one = _traced(function)
        return lambda *stacks: _in_turn(one(stacks), *stacks)

    def loop(*stacks: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda i: function(*(each[i] for each in stacks)),
            tf.range(tf.shape(stacks[0])[0]),
            fn_output_signature=kind,
            parallel_iterations=at_once,
        )

    whole = _traced(loop, (None,))
    return lambda *stacks: whole(stacks)(*map(tf.constant, stacks))


def _in_turn(function: Callable, *stacks: np.ndarray) -> tf.Tensor:
    return tf.stack([function(*map(tf.constant, batch)) for batch in zip(*stacks, strict=True)])


def _traced(function: Callable, outer: tuple[None, ...] = ()) -> Callable:
    """Stacks -> the function traced for batches of their shapes, or, where ``outer`` is one unknown
    height, for stacks of these: a loop takes them whole."""
    known: dict[tuple, Callable] = {}

    def trace_of(stacks: Sequence[np.ndarray]) -> Callable:
        kinds = tuple((each.shape[1:], each.dtype) for each in stacks)
        if kinds not in known:
            specs = [tf.TensorSpec((*outer, *shape), dtype) for shape, dtype in kinds]
            known[kinds] = compiled(function, specs)
        return known[kinds]

    return trace_of


def compiled(function: Callable, specs: Sequence[tf.TensorSpec]) -> Callable:
    """Traces a function at once, for calls that need not look for the trace that fits, as those
    of ``tf.function`` do (benchmarks/calls.py).

    Args:
        function: Tensors -> a tensor.
        specs: Of the tensors.
    """
    return tf.function(function, specs, autograph=False).get_concrete_function()


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


@contextmanager
def unoptimized_graphs() -> Iterator[None]:
    """Inside, TensorFlow runs graphs as they were traced, where there is no GPU.

    Rewriting a graph before its first run takes longer than the rewritten one saves when it
    runs a few times: Grad-CAM of 1,000 images by a C=16, N=1 network took 0.29 s instead of
    0.33 s, integrated gradients 2.34 s instead of 2.48 s (means of four networks). On a GPU
    the rewriting also chooses the layout of images, which pays. The option is the process's: one
    thread at a time may be inside, or the last would leave it as it found it while another was.
    """
    options = tf.config.optimizer
    with _turn:
        before = bool(options.get_experimental_options().get("disable_meta_optimizer"))
        here = before or not tf.config.list_physical_devices("GPU")
        options.set_experimental_options({"disable_meta_optimizer": here})
        try:
            yield
        finally:
            options.set_experimental_options({"disable_meta_optimizer": before})


@contextmanager
def kept_arithmetic() -> Iterator[None]:
    """Inside, where there is no GPU, TensorFlow's graphs compute what was traced, in the order in
    which it was traced.

    Its arithmetic optimizer sorts the terms of a sum by name, and its remapper joins a
    normalisation with the sum and the relu that follow it, where it sees them. The same network
    then has other last digits if it is traced in another way, and a training makes tenths of
    them. Steps of the quickstart took 0.99 to 1.02 of the time without these two. The options are
    the process's.
    """
    options = tf.config.optimizer
    known = options.get_experimental_options()
    before = {name: known.get(name, True) for name in ("arithmetic_optimization", "remapping")}
    if not tf.config.list_physical_devices("GPU"):
        options.set_experimental_options(dict.fromkeys(before, False))
    try:
        yield
    finally:
        options.set_experimental_options(before)


@contextmanager
def without_trace_warnings() -> Iterator[None]:
    """Inside, TensorFlow does not warn that Keras traces each new model anew."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
