"""Keeps the kernels that TensorFlow creates when it first runs an operation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import random_seed
from tensorflow.python.ops import gen_resource_variable_ops

MOST_VARIABLES = 3000
"""Number of variables after which kernels are cleared, since each has a kernel of 35 KB."""
_turn = threading.Lock()


@contextmanager
def kept_kernels() -> Iterator[None]:
    """Inside the context, let TensorFlow reuse operations' kernels from one model to the next.

    ``keras.utils.set_random_seed`` and ``keras.backend.clear_session`` clear the kernels. On the
    "lines" task, creating them again took three tenths of a candidate's time if nothing was traced,
    and seven seconds if all candidates shared a trace, because TensorFlow then optimised it again
    (docs/benchmarks/performance.md).

    Keras clears the kernels because those of TensorFlow's older random operations, such as
    ``tf.random.normal``, have a state that a seed must reset. Keras' initializers and layers do not
    use them. As soon as such an operation is given a seed, kernels are cleared as usual.

    A user's graphs with random operations get no new seeds if they were traced earlier or loaded,
    so this context is only for models from this package's own search spaces. The context affects
    the whole process; while one thread is inside it, entering it has no effect in other threads.
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
    with ExitStack() as restored:
        restored.callback(_turn.release)
        for module, name, function in replaced:
            restored.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, function)
        yield


class _Kernels:
    """The state of the kept kernels, and the TensorFlow functions that report it."""

    def __init__(self) -> None:
        self._clear = pywrap_tfe.TFE_ContextClearCaches
        self._get_seed = random_seed.get_seed
        self._var_handle_op = gen_resource_variable_ops.var_handle_op
        self._has_state = False
        self._is_first = True
        self._variables: set[tuple[str, str]] = set()

    def noted_seed(self, op_seed: int | None) -> tuple[int | None, int | None]:
        """Record that an operation has random state."""
        self._has_state = True
        return self._get_seed(op_seed)

    def noted_variable(self, **options: Any) -> tf.Tensor:
        """Record a variable."""
        self._variables.add((options["debug_name"], str(options["shape"])))
        return self._var_handle_op(**options)

    def clear_if_needed(self, context: Any) -> None:
        """Clear kernels whenever necessary, and on the first call, as older kernels are unknown."""
        if self._has_state or self._is_first or len(self._variables) > MOST_VARIABLES:
            self._is_first = False
            self._variables.clear()
            self._clear(context)
