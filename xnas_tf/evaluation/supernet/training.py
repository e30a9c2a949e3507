"""Trains candidates' models, and predicts with them, through the supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xnas_tf.attribution.explainer import always_trace
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.supernet.network import Supernet, WeightBinding
from xnas_tf.keras_tools.targets import build_metrics
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.predictor import ModelOutputs, Predictor
from xnas_tf.training.step import Step
from xnas_tf.training.trainer import Trainer


@dataclass(frozen=True)
class SupernetGraphs:
    """A supernet with its graphs for training and predicting, traced once for all candidates."""

    network: Supernet
    step: Step
    predictor: Predictor


def graphs_of_all_cells(
    config: Config, dataset: Dataset, space: NASBench201, communicator: Communicator
) -> SupernetGraphs:
    """Create a compiled supernet of all cells."""
    network, training = Supernet(space), config.training
    model = network.model
    always_trace(model)
    batch_size, steps = batching(len(dataset.train), training.batch_size)
    compile_model(model, training, steps)
    model.optimizer.build(model.trainable_variables)
    build_metrics(model, dataset.classes)
    step = Step(model, dataset, batch_size, training.weight_decay, training, communicator)
    return SupernetGraphs(network, step, Predictor(model))


class SupernetTrainer(Trainer):
    """Trains a candidate's own model through the supernet, to which ``binding`` binds it.

    Checkpoints contain the model's and its optimizer's variables, copied from the supernet.
    """

    def __init__(
        self, graphs: SupernetGraphs, candidate: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        self._graphs = graphs
        super().__init__(*args, **kwargs)
        self.binding = WeightBinding(graphs.network, candidate, self._model)

    def _new_step(self, weight_decay: float, runs: int) -> Step:
        return self._graphs.step

    def _run_steps(self) -> None:
        self.binding.load()
        super()._run_steps()

    def _average_statistics(self) -> None:
        if self._communicator.size > 1:
            self.binding.store()
            super()._average_statistics()
            self.binding.invalidate()

    def end_epoch(self, history: Sequence[Mapping[str, float]]) -> bool:
        """See ``Trainer.end_epoch``."""
        if self.best:
            self.binding.store()
        return super().end_epoch(history)

    def finish(self) -> bool:
        """See ``Trainer.finish``."""
        has_changed = super().finish()
        if has_changed:
            self.binding.invalidate()
        return has_changed

    def _packed(self, progress: TrainingProgress) -> bytes:
        self.binding.store()
        return super()._packed(progress)


class SupernetPredictor(Predictor):
    """Predicts with a candidate's own model through the supernet."""

    def __init__(self, graphs: SupernetGraphs, binding: WeightBinding) -> None:
        self._predictor = graphs.predictor
        self._binding = binding

    def outputs(self, images: np.ndarray | DiskImages) -> ModelOutputs:
        """See ``Predictor.outputs``."""
        self._binding.load()
        return self._predictor.outputs(images)

    def probabilities(self, outputs: ModelOutputs) -> np.ndarray:
        """See ``Predictor.probabilities``."""
        return self._predictor.probabilities(outputs)
