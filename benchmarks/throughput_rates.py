"""A HyperModel whose networks differ in scalars alone, and searching with graphs of each network's
own, for benchmarks/throughput.py."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import keras_tuner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.small_convnet import SmallConvNet  # noqa: E402


class Rates(SmallConvNet):
    """examples/small_convnet.py of three blocks with its defaults, but for activation and rate."""

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Builds and compiles one model of the space."""
        fixed = keras_tuner.HyperParameters()
        fixed.values["blocks"] = 3
        fixed.values["activation"] = hp.Choice("activation", ["relu", "gelu"])
        rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", default=1e-2)
        fixed.values["learning_rate"] = rate
        return super().build(fixed)


def search_with_own_graphs() -> None:
    """Runs the command line; nothing is traced for several candidates."""
    from xnas_tf.environment import set_defaults

    set_defaults()
    import xnas_tf.evaluation.evaluator
    import xnas_tf.run.job

    xnas_tf.run.job.TwinEvaluator = xnas_tf.evaluation.evaluator.Evaluator
    from xnas_tf.cli import main

    main()


if __name__ == "__main__":
    search_with_own_graphs()
