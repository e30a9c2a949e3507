"""Evaluating candidates of one structure with what was traced for one of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from xnas_tf.attribution.explainer import ask_anew, keep_explainers
from xnas_tf.candidate import Candidate
from xnas_tf.errors import XnasError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.outcome import Outcome
from xnas_tf.evaluation.prediction import Predictor
from xnas_tf.evaluation.shared.structure import structure_of
from xnas_tf.evaluation.shared.tenant import Place, Tenant, all_variables
from xnas_tf.evaluation.shared.training import Graphs, SharedPredictor, SharedTrainer
from xnas_tf.evaluation.supervision import Unsupervised
from xnas_tf.evaluation.training import Trainer
from xnas_tf.objectives.attribution_quality import AttributionQuality
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.introspectability import compared_methods

MOST = 8
"""Structures whose graphs are kept, at most; each is some megabytes."""
MOST_BYTES = 2**28
"""Bytes of their variables, at most."""


class Twin:
    """A ``HostNetwork`` for models of its own structure.

    Args:
        model: A trained model.
    """

    tenant: Tenant | None = None

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def become(self, candidate: Mapping[str, Any]) -> None:
        """It computes the same for all."""

    def places(self, candidate: Mapping[str, Any], model: keras.Model) -> list[Place]:
        """Each variable is one of its own."""
        pairs = zip(all_variables(self.model), all_variables(model), strict=True)
        return [(mine, (...,), theirs) for mine, theirs in pairs]


class TwinEvaluator(Evaluator):
    """Evaluates candidates, of which some differ in nothing that is traced; see ``Evaluator``.

    Their values are those that they would have had from graphs of their own. From the second
    candidate of a structure on its graphs are kept, so that nothing is where none comes again.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        measures = self._config.measures()
        # Those would ask a candidate's own model by the same methods, and whether an attribution
        # is traced depends on all that is asked by one.
        asks_more = any(isinstance(each, AttributionQuality) for each in measures)
        self._compared = [] if asks_more else compared_methods(measures)
        self._seen: set[str] = set()
        self._kept: OrderedDict[str, Graphs] = OrderedDict()
        """By structure, those used last at the end."""
        self._structure: str | None = None
        self._graphs: Graphs | None = None
        self._trainer: Trainer | None = None
        self._predictor: Predictor | None = None

    def _evaluate(self, candidate: Candidate, outcome: Outcome, supervisor: Unsupervised) -> None:
        try:
            super()._evaluate(candidate, outcome, supervisor)
        except XnasError:  # such as a training that diverged
            raise
        except Exception:
            self._kept.clear()  # it may have been their memory that was missing
            raise
        if self._trainer and self._structure and outcome.state == "done":
            self._remember()

    def _new_trainer(self, candidate: Candidate, *given: Any) -> Trainer:
        values = candidate.hyperparameters
        self._structure = structure_of(self._model, self._space, values, candidate.epochs)
        self._graphs = self._kept.get(self._structure)
        kind = partial(SharedTrainer, self._graphs, values) if self._graphs else Trainer
        self._trainer = super()._new_trainer(candidate, *given, kind)
        return self._trainer

    def _new_predictor(self) -> Predictor:
        if self._graphs:
            return SharedPredictor(self._graphs, self._trainer.tenant)
        self._predictor = super()._new_predictor()
        return self._predictor

    def _trained_subject(self, figures: dict[str, float]) -> Subject:
        subject = super()._trained_subject(figures)
        if not self._graphs:
            return subject
        self._trainer.tenant.settle()
        twin = self._graphs.network.model
        ask_anew(twin)  # or it would be traced where the candidate's own model is not
        return replace(subject, stand_ins=dict.fromkeys(self._compared, twin))

    def _remember(self) -> None:
        """Keeps the graphs of a structure that was seen before."""
        if self._structure in self._kept:
            self._kept.move_to_end(self._structure)
        elif self._structure in self._seen and _bytes(self._model) <= MOST_BYTES:
            keep_explainers(self._model, self._compared)
            graphs = Graphs(Twin(self._model), self._trainer.step, self._predictor)
            self._kept[self._structure] = graphs
        self._seen.add(self._structure)
        while len(self._kept) > MOST or self._bytes_kept() > MOST_BYTES:
            self._kept.popitem(last=False)

    def _bytes_kept(self) -> int:
        return sum(_bytes(graphs.network.model) for graphs in self._kept.values())

    def _release(self) -> None:
        if self._graphs:
            self._graphs.network.tenant = None
        self._graphs = self._trainer = self._predictor = None
        super()._release()


def _bytes(model: keras.Model) -> int:
    values = [variable.value for variable in all_variables(model)]
    return sum(value.dtype.size * value.shape.num_elements() for value in values)
