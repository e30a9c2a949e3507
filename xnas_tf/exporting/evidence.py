"""Provides the data used to verify and test exported models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.dataset import Batch, Split, sample_images
from xnas_tf.errors import InputError, RunError, RunInUseError
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.reporting.predictions import metrics_on_test
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import DATABASE, locked
from xnas_tf.storage.tested_models import figures_fact, source_of
from xnas_tf.training.predictor import Predictor
from xnas_tf.utils.number_format import counted

VERIFIED_ON = 16
"""Number of images to compare; integrated gradients take 32 forward passes for each image."""
CALIBRATED_ON = 200
"""Number of training images for calibrating a quantized model. Jacob et al. (2018, arXiv
1712.05877) and the TensorFlow Lite guide use a few hundred."""
COMPARED_ON = 2000
"""Maximum number of test images on which the accuracy of a quantized model is measured."""


@dataclass(frozen=True)
class Evidence:
    """The data used to verify a run's models.

    Attributes:
        facts: The recorded facts about the data; see ``Dataset.facts``.
        data: The data set; None if it cannot be loaded or has changed, as ``problem`` says.
        images: Images for verifying models, from the test split or noise, (N, H, W, C), uint8.
        labels: The images' true classes, (N,); None for noise.
    """

    run: Run
    facts: dict[str, Any]
    data: Dataset | None
    problem: str
    images: np.ndarray
    labels: np.ndarray | None = None

    def test_metrics(
        self, chosen: ExportSelection, model: keras.Model, log: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """Return a model's ``metrics_on_test``, measured once and stored in the database.

        The result is None if they are not stored, and the data are unavailable.
        """
        name = figures_fact(chosen.name)
        source = source_of(self.facts["digest"], chosen.model_path)
        known = self.run.fact(name)
        measured = known["figures"] if known and known["source"] == source else None
        if self.data is None or (measured and "calibration" in measured):  # new in 0.3
            return measured
        test = self.data.test
        log(f"measuring the model on the {counted(len(test), 'image')} of the test split")
        probabilities = Predictor(model, len(test))(test.images)
        metrics = metrics_on_test(test.labels, probabilities, self.data.classes)
        _keep(self.run, name, {"source": source, "figures": metrics}, log)
        return metrics

    def calibration_images(self) -> np.ndarray:
        """Return uint8 images (N, H, W, C) sampled from the training split with seed 0.

        Raises:
            InputError: If the data are unavailable.
        """
        if self.data is None:
            raise InputError(f"quantization needs the training images: {self.problem}")
        return np.asarray(_drawn(self.data.train, CALIBRATED_ON).images)

    def compared_images(self) -> Batch:
        """Return the test split or, if it is large, a sample drawn with seed 0."""
        assert self.data is not None  # otherwise there would be no calibration images
        return _drawn(self.data.test, COMPARED_ON)


def _drawn(split: Split, most: int) -> Batch:
    chosen = np.random.default_rng(0).permutation(len(split))[:most]
    return split.take(np.sort(chosen))


def gather(run: Run, log: Callable[[str], None]) -> Evidence:
    """Load a run's data, or use noise images if the data are missing or have changed.

    Raises:
        InputError: If the run has no recorded facts about its data.
    """
    facts = run.fact("dataset")
    if not isinstance(facts, dict):
        raise InputError(f"{run.path} has no record of its data: its search never started")
    try:
        data = load_dataset(**run.config.dataset.model_dump(), log=log)
        if data.digest != facts["digest"]:
            raise InputError(
                f"the images or labels of {data.name} have changed since the search started"
            )
    except InputError as error:
        log(f"no test images: {error}")
        shape = (VERIFIED_ON, *facts["image_shape"])
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return Evidence(run, facts, None, str(error), noise)
    sample = sample_images(data.test, VERIFIED_ON)
    return Evidence(run, facts, data, "", np.asarray(sample.images), sample.labels)


def _keep(run: Run, name: str, value: dict[str, Any], log: Callable[[str], None]) -> None:
    """Record a fact, unless the run is a read-only copy or its search is still running."""
    try:
        with locked(run.path), closing(Database(run.path / DATABASE, create=True)) as database:
            database.set_fact(name, value)
    except (RunError, RunInUseError) as error:
        log(f"the test metrics could not be saved: {error}")
