"""The "lines" data of XNAS, and searching in the plain way, for benchmarks/throughput.py."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

KINDS = ("none", "horizontal", "vertical", "diagonal")


def lines(count: int, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws grey images of no line, or a horizontal, vertical or diagonal one, in noise.

    Args:
        count: Number of images; a multiple of four gives equally many of each kind.
        size: Height and width.
        seed: Of the noise, of where the lines are, and of the order.

    Returns:
        uint8 images (N, size, size, 1), and their kinds (N,), shuffled.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(count) % len(KINDS))
    images = rng.normal(40.0, 20.0, (count, size, size))
    for image, kind in zip(images, kinds, strict=True):
        place = int(rng.integers(1, size - 1))
        if KINDS[kind] == "horizontal":
            image[place] += 160
        elif KINDS[kind] == "vertical":
            image[:, place] += 160
        elif KINDS[kind] == "diagonal":
            image += 160 * np.eye(size, k=place - size // 2)
    return images.clip(0, 255).astype(np.uint8)[..., None], kinds


def search_plainly() -> None:
    """Runs the command line in the plain way: each candidate trains a network of its own, one step
    a call, all is traced, however seldom it runs, each call looks for the trace that fits, no
    kernels are kept, one batch passes through a network at a time in predictions and no more than
    64 points in attributions, variables are updated by Keras, the gradient of average pooling is
    oneDNN's, and threads are TensorFlow's."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from xnas_tf.utils.environment import set_defaults

    set_defaults()
    import tensorflow as tf

    import xnas_tf.attribution.base
    import xnas_tf.attribution.explainer
    import xnas_tf.execution.job
    import xnas_tf.keras_tools.average_pooling
    import xnas_tf.keras_tools.tracing
    import xnas_tf.spaces.options
    import xnas_tf.training.multi_step
    import xnas_tf.training.predictor
    import xnas_tf.training.step

    xnas_tf.keras_tools.tracing.FEW_RUNS = xnas_tf.attribution.explainer.FEW_PASSES = 0
    xnas_tf.keras_tools.average_pooling.FEW_CHANNELS = 0
    xnas_tf.attribution.base.PIXELS = 0
    xnas_tf.training.multi_step.MOST_STEPS = xnas_tf.training.predictor.AT_ONCE = 1
    xnas_tf.training.predictor.BATCH = 250
    xnas_tf.keras_tools.tracing.MANY_RUNS = sys.maxsize
    xnas_tf.keras_tools.tracing.compiled = partial(tf.function, autograph=False)
    xnas_tf.spaces.options.NASBench201Options.branches = 1
    xnas_tf.training.step.fused_updates = lambda _: nullcontext()
    xnas_tf.execution.job.is_shared = lambda *_, **__: False
    xnas_tf.execution.job.kept_kernels = nullcontext
    from xnas_tf.cli import main

    main()


if __name__ == "__main__":
    search_plainly()
