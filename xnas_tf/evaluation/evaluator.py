"""One candidate from hyperparameters to objective values: build, train, score."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np

from xnas_tf.candidate import Candidate, State
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RunError, XnasError
from xnas_tf.evaluation.prediction import Predictor, cross_entropy
from xnas_tf.evaluation.training import Trainer
from xnas_tf.objectives.base import Subject
from xnas_tf.registry import describe
from xnas_tf.spaces.space import SearchSpace
from xnas_tf.tracing import forgotten_custom_gradients

Keep = Callable[["Outcome", keras.Model], None]


@dataclass
class Outcome:
    """What an evaluation found; see ``Candidate`` for the fields."""

    state: State = "running"
    reason: str = ""
    objectives: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Adds the time spent inside to a phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[phase] = self.seconds.get(phase, 0.0) + spent


class Evaluator:
    """Evaluates candidates, on all ranks at once.

    An evaluation is a function of the candidate's hyperparameters and seed, the
    configuration and the data; it leaves nothing behind.
    """

    def __init__(
        self, config: Config, dataset: Dataset, space: SearchSpace, communicator: Communicator
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._space = space
        self._communicator = communicator
        self._measures = config.measures()
        for measure in self._measures:
            measure.check(dataset.class_names)
        order = np.random.default_rng(config.dataset.seed).permutation(len(dataset.validation))
        mine = order[shard(len(order), communicator.rank, communicator.size)]
        self._validation = dataset.validation.take(mine)
        # What is imported by now stays: collections need not walk through it each time.
        gc.collect()
        gc.freeze()

    def evaluate(self, candidate: Candidate, keep: Keep | None = None) -> Outcome:
        """Builds, trains and scores a candidate.

        Args:
            candidate: Its hyperparameters and seed are used.
            keep: Called with the outcome and the trained model of one that is done, before
                the model is freed.

        Returns:
            The same outcome on every rank: done, infeasible, or failed with the reason.

        Raises:
            RunError: If another rank died.
        """
        outcome = Outcome()
        try:
            with forgotten_custom_gradients():
                self._evaluate(candidate, outcome)
        except Exception as error:  # a failed candidate must not end the search
            if self._communicator.size > 1 and "horovod" in str(error).lower():
                raise RunError(f"another rank died: {describe(error)}") from error
            reason = str(error) if isinstance(error, XnasError) else describe(error)
            outcome = Outcome("failed", reason, seconds=outcome.seconds, history=outcome.history)
            error.__traceback__ = None  # it holds the model
        else:
            if keep and outcome.state == "done":
                outcome = self._keep(keep, outcome)
        finally:
            self._release()
        return outcome

    def _keep(self, keep: Keep, outcome: Outcome) -> Outcome:
        """Keeps the model; one that cannot be saved is a failure of the candidate."""
        try:
            keep(outcome, self._model)
        except OSError:  # the disk's failure, not the candidate's
            raise
        except Exception as error:  # a user's layers may raise anything at all
            reason = f"the model cannot be saved: {describe(error)}"
            return Outcome("failed", reason, seconds=outcome.seconds, history=outcome.history)
        return outcome

    def _evaluate(self, candidate: Candidate, outcome: Outcome) -> None:
        infeasible = self._space.infeasible(candidate.hyperparameters)
        if not infeasible:
            with outcome.timed("build"):
                self._model = self._build(candidate)
                untrained = Subject(self._model, self._communicator, self._dataset.class_names)
                self._score(untrained, outcome, trained=False)
                infeasible = self._broken_limits(outcome)
        if infeasible:
            outcome.state, outcome.reason = "infeasible", infeasible
            return
        predictor = Predictor(self._model)
        with outcome.timed("train"):
            self._train(candidate, predictor, outcome)
        with outcome.timed("score"):
            self._score(self._trained_subject(), outcome, trained=True)
        outcome.state = "done"

    def _build(self, candidate: Candidate) -> keras.Model:
        """Builds on all ranks; where it fails on one it fails on all, so that none waits."""
        # Initial values come from Keras' global generator, whatever layers a user has.
        keras.utils.set_random_seed(candidate.seed)
        failure = model = None
        try:
            model = self._space.build(candidate.hyperparameters)
        except Exception as error:  # a user's code may raise anything at all
            failure = describe(error)
        (failed,) = self._communicator.sum(np.array(failure is not None, np.int64))
        if failed:
            raise RunError(f"build failed: {failure or 'on another rank'}")
        return model

    def _train(self, candidate: Candidate, predictor: Predictor, outcome: Outcome) -> None:
        trainer = Trainer(
            self._model, self._dataset, self._config.training, self._communicator, candidate.seed
        )
        for epoch in range(self._config.training.epochs):
            figures = trainer.run_epoch(epoch)
            outcome.history.append({**figures, **self._validate(predictor)})
            loss = outcome.history[-1]["val_loss"]
            if not math.isfinite(loss):
                raise RunError(f"the validation loss became {loss} in epoch {epoch + 1}")
        outcome.metrics.update(outcome.history[-1])

    def _validate(self, predictor: Predictor) -> dict[str, float]:
        """Exact validation figures: sums over all ranks, then divided."""
        labels = self._validation.labels
        self._probabilities = predictor(self._validation.images)
        correct = np.count_nonzero(self._probabilities.argmax(axis=1) == labels)
        sums = np.array([cross_entropy(self._probabilities, labels), correct, len(labels)])
        (sums,) = self._communicator.sum(sums)
        return {"val_loss": sums[0] / sums[2], "val_accuracy": sums[1] / sums[2]}

    def _trained_subject(self) -> Subject:
        return Subject(
            self._model,
            self._communicator,
            self._dataset.class_names,
            self._validation.images,
            self._validation.labels,
            self._probabilities,
        )

    def _score(self, subject: Subject, outcome: Outcome, trained: bool) -> None:
        """Measures what can be measured now: before training the costs, afterwards the rest."""
        chosen = {objective.name for objective in self._config.objectives}
        for measure in self._measures:
            if measure.needs_training != trained:
                continue
            score = measure.score(subject)
            if not math.isfinite(score.value):
                why = f" ({score.reason})" if score.reason else ""
                raise RunError(f"{measure.name} is {score.value}{why}")
            outcome.reason = "; ".join(filter(None, [outcome.reason, score.reason]))
            target = outcome.objectives if measure.name in chosen else outcome.metrics
            target[measure.name] = score.value
            figures = score.metrics.items()
            outcome.metrics.update({k: v for k, v in figures if math.isfinite(v)})

    def _broken_limits(self, outcome: Outcome) -> str:
        known = {**outcome.metrics, **outcome.objectives}
        broken = [
            f"{name} is {known[name]:,.12g}, wanted: {limit}"
            for name, limit in self._config.constraints.items()
            if name in known and limit.violation(known[name])
        ]
        return "; ".join(broken)

    def _release(self) -> None:
        """Frees the model and everything traced with it; ``clear_session`` collects garbage."""
        self._model = self._probabilities = None
        keras.backend.clear_session()
