"""Keeping what TensorFlow makes of an operation when it first runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import random_seed
from tensorflow.python.ops import gen_resource_variable_ops

MOST_VARIABLES = 3000
"""Names and shapes of variables after which kernels are cleared: each has one, of 35 KB."""
_turn = threading.Lock()


@contextmanager
def kept_kernels() -> Iterator[None]:
    """Inside, TensorFlow keeps the kernels of operations from one model to the next.

    ``keras.utils.set_random_seed`` and ``keras.backend.clear_session`` clear them, and each
    operation then makes its own again when it next runs: three tenths of a candidate's time on
    "lines" where nothing is traced, and seven seconds where all candidates share what is, since
    TensorFlow then optimises it again (docs/benchmarks/performance.md).

    They are cleared because those of TensorFlow's older random operations, such as
    ``tf.random.normal``, have a state that a seed must restart. Keras' initial values and
    layers have none of these. All that have ask for their seeds at one place: once anything
    has, kernels are cleared as ever.

    A user's graphs with random operations that were traced before, or loaded, ask for none: this
    is for models of this package's own search spaces. What it changes is the process's: while one
    thread is inside, others only pass.
    """
    if not _turn.acquire(blocking=False):
        yield
        return
    kernels = _Kernels()
    replaced = [
        (pywrap_tfe, "TFE_ContextClearCaches", kernels.clear_if_needed),
        (random_seed, "get_seed", kernels.noted_seed),
        (gen_resource_variable_ops, "var_handle_op", kernels.noted_variable),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    for module, name, function in replaced:
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name, _), function in zip(replaced, before, strict=True):
            setattr(module, name, function)
        _turn.release()


class _Kernels:
    """What is known of the kernels that are kept, and TensorFlow's functions that tell it."""

    def __init__(self) -> None:
        self._clear = pywrap_tfe.TFE_ContextClearCaches
        self._get_seed = random_seed.get_seed
        self._var_handle_op = gen_resource_variable_ops.var_handle_op
        self._has_state = False
        self._is_first = True
        self._variables: set[tuple[str, str]] = set()

    def noted_seed(self, op_seed: int | None) -> tuple[int | None, int | None]:
        """Notes that an operation has a random state."""
        self._has_state = True
        return self._get_seed(op_seed)

    def noted_variable(self, **options: Any) -> tf.Tensor:
        """Notes a variable."""
        self._variables.add((options["debug_name"], str(options["shape"])))
        return self._var_handle_op(**options)

    def clear_if_needed(self, context: Any) -> None:
        """Clears at first, since it is not known what was there before, and where it must."""
        if self._has_state or self._is_first or len(self._variables) > MOST_VARIABLES:
            self._is_first = False
            self._variables.clear()
            self._clear(context)
