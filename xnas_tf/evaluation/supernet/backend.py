"""Trains and queries the cells of NAS-Bench-201 through one supernet, where that is faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.grad_cam import GradCAM
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.smooth_grad import SmoothGrad
from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.backend import Backend, ModelAccess
from xnas_tf.evaluation.supernet.network import Supernet, WeightBinding
from xnas_tf.keras_tools.tracing import FEW_RUNS
from xnas_tf.objectives.introspectability import introspectability_methods
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.predictor import ModelOutputs, Predictor
from xnas_tf.training.step import Step
from xnas_tf.training.trainer import Trainer

SHARED_METHODS = (GradCAM, IntegratedGradients, SmoothGrad)
"""Attribution methods that need no layer of a cell's own model: in a search, Grad-CAM explains the
last feature map, which the supernet also has."""
TRACE = 6.0
"""Cost of tracing the supernet, relative to tracing a cell's own network: 7.2 s to 1.2 s on average
(benchmarks/shared_graph.py of c0e5f76, quickstart)."""
STEP = 0.0013
"""Additional time that the supernet takes per training step, in the same unit."""
UNTRACED = 0.35
"""Cost of a cell's own network if it takes too few steps to be traced, in the same unit."""


class SupernetTrainer(Trainer):
    """Trains a candidate's own model through the supernet, to which ``binding`` binds it.

    Checkpoints contain the model's own variables and those of its optimizer, into which the binding
    copies the supernet's values.
    """

    def __init__(
        self, network: Supernet, candidate: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        self._network = network
        super().__init__(*args, **kwargs)
        self.binding = WeightBinding(network, candidate, self._model)

    def _new_step(self, weight_decay: float, runs: int) -> Step:
        return self._network.step

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

    def __init__(self, binding: WeightBinding) -> None:
        self._binding = binding

    def outputs(self, images: np.ndarray | DiskImages) -> ModelOutputs:
        """See ``Predictor.outputs``."""
        self._binding.load()
        return self._binding.network.predictor.outputs(images)

    def probabilities(self, outputs: ModelOutputs) -> np.ndarray:
        """See ``Predictor.probabilities``."""
        return self._binding.network.predictor.probabilities(outputs)


class SupernetBackend(Backend):
    """Trains and explains one supernet in place of the candidates' own models."""

    note = "one supernet is traced and trained in place of each cell's own network"

    def __init__(
        self, config: Config, dataset: Dataset, space: SearchSpace, communicator: Communicator
    ) -> None:
        self._network = Supernet(config, dataset, space.hypermodel, communicator)
        self._shared = {
            method: self._network.model
            for method in introspectability_methods(config.measures())
            if type(method) in SHARED_METHODS
        }
        self._binding: WeightBinding | None = None
        self._has_trained = False

    def trainer(self, candidate: Candidate, model: keras.Model, *arguments: Any) -> Trainer:
        """See ``Backend.trainer``."""
        trainer = SupernetTrainer(self._network, candidate.hyperparameters, model, *arguments)
        self._binding, self._has_trained = trainer.binding, True
        return trainer

    def predictor(self, model: keras.Model, images: int, times: int) -> Predictor:
        """See ``Backend.predictor``."""
        assert self._binding, "the trainer is created first"
        return SupernetPredictor(self._binding)

    def shared_models(self) -> Mapping[AttributionMethod, keras.Model]:
        """See ``Backend.shared_models``."""
        if self._binding:
            self._binding.synchronize()
        return self._shared

    def reloaded(self, candidate: Candidate, model: keras.Model, images: int) -> ModelAccess:
        """See ``Backend.reloaded``."""
        # If nothing was trained, this process may not have traced the supernet. Also, the saved
        # model of a reused result may belong to another cell that computes the same function.
        if not self._has_trained or candidate.reused_from:
            return super().reloaded(candidate, model, images)
        binding = WeightBinding(self._network, candidate.hyperparameters, model)
        binding.load()
        return ModelAccess(SupernetPredictor(binding), self._shared)

    def release(self) -> None:
        """See ``Backend.release``."""
        self._binding = self._network.bound = None


def backend_for(
    config: Config,
    dataset: Dataset,
    space: SearchSpace,
    communicator: Communicator,
    groups: int = 1,
) -> Backend:
    """Return whichever backend is faster for a search's candidates; see ``is_shared``."""
    if is_shared(config, dataset, space, groups):
        return SupernetBackend(config, dataset, space, communicator)
    return Backend()


def is_shared(config: Config, dataset: Dataset, space: SearchSpace, groups: int) -> bool:
    """Return whether a search trains a supernet in place of the candidates' own models.

    The trained weights are the same bit for bit, and attributions are the same except for rounding.
    On GPUs, a supernet has not been tested, and choosing each edge's operation may be slow.
    ``groups`` is the number of groups of ranks, each of which traces its own networks.
    """
    training = config.training
    is_plain = not (training.mixed_precision or training.jit_compile or training.callbacks)
    is_on_cpu = not tf.config.list_physical_devices("GPU")
    has_cells = type(space.hypermodel) is NASBench201
    if not (has_cells and is_plain and is_on_cpu and len(config.rungs) == 1):
        return False
    steps = training.epochs * batching(len(dataset.train), training.batch_size)[1]
    saved = (1.0 if steps > FEW_RUNS else UNTRACED) - STEP * steps  # per candidate
    return saved * config.search.candidates / groups > TRACE
