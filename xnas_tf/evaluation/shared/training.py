"""Training, predicting and explaining with what is traced once for all cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xnas_tf.attribution.explainer import always_trace
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.data.rows import Rows
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.checkpoint import Progress
from xnas_tf.evaluation.compiling import compile_model
from xnas_tf.evaluation.prediction import Predictor
from xnas_tf.evaluation.seconds import Seconds, TimedCommunicator
from xnas_tf.evaluation.shared.network import SharedNetwork, Tenant
from xnas_tf.evaluation.step import Step
from xnas_tf.evaluation.training import Trainer
from xnas_tf.spaces.nas_bench_201 import NASBench201


class SharedGraphs:
    """The shared network, compiled, with its training step and its predictions.

    Attributes:
        network: The shared network.
        step: Trains it on a batch.
        predictor: Predicts with it.

    Args:
        config: The configuration.
        dataset: The images.
        space: The search space's networks.
        communicator: The ranks that train a candidate together.
    """

    def __init__(
        self, config: Config, dataset: Dataset, space: NASBench201, communicator: Communicator
    ) -> None:
        self.network = SharedNetwork(space)
        model, training = self.network.model, config.training
        always_trace(model)
        batch_size, steps = batching(len(dataset.train), training.batch_size)
        compile_model(model, training, steps)
        model.optimizer.build(model.trainable_variables)
        self._communicator = TimedCommunicator(communicator, Seconds())
        decay = training.weight_decay
        self.step = Step(model, dataset, batch_size, decay, training, self._communicator)
        self.predictor = Predictor(model)

    def count_in(self, seconds: Seconds) -> None:
        """From now on time for communication is added there."""
        self._communicator.seconds = seconds


class SharedTrainer(Trainer):
    """Trains a cell's own model by letting the shared network be it in each epoch.

    Between epochs, and in checkpoints, all is in the model and its own optimizer.

    Args:
        graphs: The shared network.
        cell: The cell.
        *args: See ``Trainer``.
        **kwargs: See ``Trainer``.

    Attributes:
        tenant: The model in the shared network.
    """

    def __init__(
        self, graphs: SharedGraphs, cell: Mapping[str, str], *args: Any, **kwargs: Any
    ) -> None:
        self._graphs = graphs
        self._is_in = False
        super().__init__(*args, **kwargs)
        graphs.count_in(self._seconds)
        self.tenant = Tenant(graphs.network, cell, self._model)

    def _new_step(self, weight_decay: float, runs: int) -> Step:
        return self._graphs.step

    def _run_steps(self) -> list[float]:
        self.tenant.take()
        self._is_in = True
        try:
            return super()._run_steps()
        finally:
            self._is_in = False
            self.tenant.give()

    def _average_statistics(self) -> None:
        super()._average_statistics()
        if self._communicator.size > 1:
            self.tenant.leave()

    def _keep(self, progress: Progress) -> None:
        if self._is_in:
            self.tenant.give()
        super()._keep(progress)


class SharedPredictor(Predictor):
    """Predicts with a cell's own model by letting the shared network be it.

    Args:
        graphs: The shared network.
        tenant: The model in it.
    """

    def __init__(self, graphs: SharedGraphs, tenant: Tenant) -> None:
        self._predictor = graphs.predictor
        self._tenant = tenant

    def __call__(self, images: np.ndarray | Rows) -> np.ndarray:
        """See ``Predictor.__call__``."""
        self._tenant.take()
        return self._predictor(images)
