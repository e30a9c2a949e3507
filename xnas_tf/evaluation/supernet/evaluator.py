"""Evaluating cells with what is traced once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.grad_cam import GradCAM
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.candidate import Candidate
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.training import (
    SupernetPredictor,
    SupernetTrainer,
    graphs_of_all_cells,
)
from xnas_tf.evaluation.supernet.weight_binding import WeightBinding
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.introspectability import compared_methods
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer

STOOD_IN = (GradCAM, IntegratedGradients)
"""Attribution methods whose maps, as the search compares them, depend on no layer that only a
cell's own network has: Grad-CAM's is the last feature map."""


class SupernetEvaluator(Evaluator):
    """Evaluates candidates of NAS-Bench-201; see ``Evaluator``.

    Each still has a model of its own, which is measured, kept and given to objectives. One
    shared network is trained and explained in its place.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._graphs = graphs_of_all_cells(
            self._config, self._dataset, self._space.hypermodel, self._communicator
        )
        compared = compared_methods(self._config.measures())
        self._stand_ins = {
            method: self._graphs.network.model for method in compared if type(method) in STOOD_IN
        }

    def _new_trainer(self, candidate: Candidate, *given: Any) -> Trainer:
        kind = partial(SupernetTrainer, self._graphs, candidate.hyperparameters)
        self._trainer = super()._new_trainer(candidate, *given, kind)
        return self._trainer

    def _new_predictor(self) -> Predictor:
        return SupernetPredictor(self._graphs, self._trainer.tenant)

    def _trained_subject(self, figures: dict[str, float]) -> Subject:
        self._trainer.tenant.settle()
        return replace(super()._trained_subject(figures), stand_ins=self._stand_ins)

    def revived(
        self, candidate: Candidate, model: keras.Model
    ) -> tuple[Predictor, Mapping[AttributionMethod, keras.Model]]:
        """See ``Evaluator.revived``."""
        # Nothing may be traced in this process; what another candidate's model answered is of a
        # cell that only computes the same.
        if not self._trainings or candidate.answered_by:
            return super().revived(candidate, model)
        tenant = WeightBinding(self._graphs.network, candidate.hyperparameters, model)
        tenant.take()
        return SupernetPredictor(self._graphs, tenant), self._stand_ins

    def _release(self) -> None:
        self._trainer = self._graphs.network.tenant = None
        super()._release()
