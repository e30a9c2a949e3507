"""Tools for graphs that are traced for one model, run a few times and then freed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from xnas_tf.keras_tools.compat import custom_gradients, remove_custom_gradients

FEW_RUNS = 4
"""Maximum number of runs for which a function is not traced. Tracing a training step of a network
with C=16, N=2 takes as long as about five untraced steps (benchmarks/throughput.py)."""
FEW_PASSES = 1
"""Maximum number of passes through a network for which attributions are not traced. On one core,
128 images of 8x8 pixels take one pass: Grad-CAM took 0.03 to 0.09 s instead of 0.14 to 0.31 s, and
integrated gradients with 8 steps 0.10 to 0.27 s instead of 0.35 to 0.78 s. At 32x32 pixels with
C=16, N=2, two passes of Grad-CAM took 0.52 to 1.20 s instead of 0.42 to 0.74 s: outside a graph,
the gradients of the weights are computed as well, although they are not needed."""

_lock = threading.RLock()


def traced(function: Callable[..., tf.Tensor], runs: int | None = None) -> Callable[..., tf.Tensor]:
    """Trace a function, or return it unchanged if it will run only a few times.

    ``runs`` is the maximum number of times; None means many times. The choice does not depend on
    measurements, because traced and untraced results are rounded differently, and repeating a
    search must give the same values.
    """
    if runs is not None and runs <= FEW_RUNS:
        return function
    return tf.function(function, autograph=False)


@contextmanager
def freed_custom_gradients() -> Iterator[None]:
    """When the context ends, free the custom gradients of graphs traced inside it.

    Each use of ``tf.custom_gradient`` in a graph adds a closure that references the whole graph to
    a process-wide table. Every Keras optimizer uses one (``ReplicaContext.all_reduce``), as do
    ``tf.nn.silu`` and other functions, so about 7 MB per candidate was never freed
    (benchmarks/memory.py; TensorFlow 2.18). Graphs traced inside the context, by any thread, can
    still run afterwards, but their gradients can no longer be traced.
    """
    before = custom_gradients()
    try:
        yield
    finally:
        remove_custom_gradients(custom_gradients() - before)


@contextmanager
def unoptimized_graphs() -> Iterator[None]:
    """Let TensorFlow run graphs as they were traced, unless there is a GPU.

    Optimizing a graph takes longer than it saves over a few runs. Without it, Grad-CAM of 1,000
    images with a C=16, N=1 network took 0.29 s instead of 0.33 s, and integrated gradients 2.34 s
    instead of 2.48 s (means over four networks). On a GPU, the optimizer also chooses the image
    layout, which saves time. The option is global, so only one thread at a time may enter.
    """
    with _lock, _switched_options("disable_meta_optimizer", default=False):
        yield


@contextmanager
def kept_arithmetic() -> Iterator[None]:
    """Let TensorFlow's graphs compute in the order in which they were traced, except on a GPU.

    TensorFlow's arithmetic optimizer sorts a sum's terms by name, and its remapper fuses a
    normalization with a subsequent sum and ReLU. The last digits of outputs then depend on how a
    network is traced, and training amplifies these differences to several tenths. Without the two,
    the quickstart's training steps took 0.99 to 1.02 times as long. The options are global.
    """
    with _switched_options("arithmetic_optimization", "remapping", default=True):
        yield


@contextmanager
def _switched_options(*names: str, default: bool) -> Iterator[None]:
    """Give options of the graph optimizer the opposite of their default, unless there is a GPU."""
    options = tf.config.optimizer
    known = options.get_experimental_options()
    before = {name: bool(known.get(name, default)) for name in names}
    if not tf.config.list_physical_devices("GPU"):
        options.set_experimental_options(dict.fromkeys(names, not default))
    try:
        yield
    finally:
        options.set_experimental_options(before)


@contextmanager
def without_trace_warnings() -> Iterator[None]:
    """Silence the warning that TensorFlow gives because Keras traces each new model."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
