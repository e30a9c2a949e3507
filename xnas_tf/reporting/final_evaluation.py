"""Tests the Pareto-optimal models at the end of a search, and draws their attributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.candidate import Candidate
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import XnasError
from xnas_tf.evaluation.backend import Backend
from xnas_tf.execution.callbacks import Callback, SearchContext
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.explanation import DEFAULT_METHODS, explain
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.keras_tools.settings import clear_session
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.objectives.introspectability import introspectability_methods
from xnas_tf.registry import describe
from xnas_tf.reporting.predictions import metrics_on_test
from xnas_tf.reporting.search_progress import SearchProgress
from xnas_tf.reporting.tensorboard import TensorBoard
from xnas_tf.storage.tested_models import candidate_name, figures_fact, source_of
from xnas_tf.training.callbacks import Interrupted

DRAWN = "drawn"
"""Fact of a run: the ids of the candidates that were tested and drawn."""
SHOWN = 8
"""Number of validation images for which to draw each model's attributions."""


class FinalEvaluation(Callback):
    """A callback that tests the Pareto-optimal models and draws their attributions.

    The search itself never uses the test split. Models that an earlier session tested are skipped.
    """

    def __init__(
        self, context: SearchContext, board: TensorBoard, log: Callable[[str], None]
    ) -> None:
        self._context = context
        self._board = board
        self._log = log

    def on_search_end(self, run: SearchRun, error: BaseException | None) -> None:
        """Test the models, if the search has finished."""
        if error or run.backend is None:
            return
        if run.groups()[0] > 1:
            self._board.groups(run.candidates())
        for candidate in run.pareto():
            if candidate.id not in (self._context.database.fact(DRAWN) or ()):
                self._evaluate(candidate, run.backend)

    def _evaluate(self, candidate: Candidate, backend: Backend) -> None:
        self._log(f"testing candidate {candidate.id} and drawing its attributions")
        try:
            with freed_custom_gradients():
                tested = self._test_and_draw(candidate, backend)
            database = self._context.database
            with database.transaction():
                database.save(candidate)
                database.set_fact(figures_fact(candidate_name(candidate.id)), tested)
                database.set_fact(DRAWN, [*(database.fact(DRAWN) or ()), candidate.id])
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            why = str(error) if isinstance(error, XnasError) else describe(error)
            self._log(f"warning: candidate {candidate.id} was not tested: {why}")
        finally:
            clear_session()

    def _test_and_draw(self, candidate: Candidate, backend: Backend) -> dict[str, Any]:
        """Return the metrics on the test split, with what they depend on."""
        # Safe mode is not needed for models of this search, because this process runs the
        # HyperModel's code anyway. A reused model may come from somebody else's run.
        safe = self._context.space.is_built_in or bool(candidate.reused_from)
        model = candidate.load_model(safe)
        data = self._context.dataset
        access = backend.reloaded(candidate, model, len(data.test))
        self._draw(candidate, model, access.shared_models)
        figures = metrics_on_test(
            data.test.labels, access.predictor(data.test.images), data.classes
        )
        accuracy = figures["accuracy"][1]
        candidate.metrics.update(test_accuracy=accuracy, test_error=1 - accuracy)
        self._board.tested(candidate)
        assert candidate.model_path is not None  # the model was loaded from it
        return {"source": source_of(data.digest, candidate.model_path), "figures": figures}

    def _draw(
        self,
        candidate: Candidate,
        model: keras.Model,
        shared_models: Mapping[AttributionMethod, keras.Model],
    ) -> None:
        methods = introspectability_methods(self._context.config.measures())
        sample = sample_images(self._context.dataset.validation, SHOWN)
        try:
            explained = explain(
                model,
                np.asarray(sample.images),
                methods or DEFAULT_METHODS,
                labels=sample.labels,
                class_names=self._context.dataset.class_names,
                input_range=DEFAULT_RANGE,
                shared_models=shared_models,
            )
            self._board.attributions(candidate, explained)
            self._board.graph(candidate, model)
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            why = f"could not be drawn: {describe(error)}"
            self._log(f"warning: attributions of candidate {candidate.id} {why}")


def search_callbacks(context: SearchContext, more: Sequence[Callback] = ()) -> Sequence[Callback]:
    """Create this package's reporting callbacks for a search, and add the user's callbacks."""
    progress = SearchProgress(context.config, context.seconds_spent)
    board = TensorBoard(context)
    return [progress, board, FinalEvaluation(context, board, progress.on_message), *more]
