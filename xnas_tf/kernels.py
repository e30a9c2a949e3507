"""Keeping what TensorFlow makes of an operation when it first runs it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import random_seed

EVERY = 200
"""Of so many times that kernels were to be cleared, they are once: each name of a variable has
one, and models may have any number of names."""

_turn = threading.Lock()


@contextmanager
def kept_kernels() -> Iterator[None]:
    """Inside, TensorFlow keeps the kernels of operations from one model to the next.

    ``keras.utils.set_random_seed`` and ``keras.backend.clear_session`` clear them, and each
    operation then makes its own again when it next runs: three tenths of a candidate's time on
    "lines", where hardly anything is traced (docs/performance.md).

    They are cleared because those of TensorFlow's older random operations, such as
    ``tf.random.normal``, have a state that a seed must begin anew. Keras' initial values and
    layers have none of these. All that have ask for their seeds at one place: once anything
    has, kernels are cleared as ever.

    To be entered before any model is built. What it changes is the process's: while one thread is
    inside, others only pass.
    """
    if not _turn.acquire(blocking=False):
        yield
        return
    clear, get_seed = pywrap_tfe.TFE_ContextClearCaches, random_seed.get_seed
    is_stateful, times = False, itertools.count()

    def noted_seed(op_seed: int | None) -> tuple[int | None, int | None]:
        nonlocal is_stateful
        is_stateful = True
        return get_seed(op_seed)

    def clear_if_needed(context: Any) -> None:
        if next(times) % EVERY == 0 or is_stateful:
            clear(context)

    pywrap_tfe.TFE_ContextClearCaches, random_seed.get_seed = clear_if_needed, noted_seed
    try:
        yield
    finally:
        pywrap_tfe.TFE_ContextClearCaches, random_seed.get_seed = clear, get_seed
        _turn.release()
