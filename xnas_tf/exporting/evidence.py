"""What an export is measured and verified on: the run's data, and the figures of its test part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import InputError, RunError
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.reporting.html.models import CONFIDENCE
from xnas_tf.reporting.predictions import answers_data
from xnas_tf.storage.database import Database
from xnas_tf.storage.run import RECORD, Run
from xnas_tf.training.predictor import Predictor

VERIFIED_ON = 16
"""Images that are compared; integrated gradients of each pass the network 32 times."""


@dataclass(frozen=True)
class Evidence:
    """The data of a run.

    Attributes:
        run: The run.
        facts: What the run recorded of its data: see ``Dataset.facts``.
        data: The data set; None if it cannot be had any more.
        problem: Why.
        images: uint8 images (N, H, W, C) to compare with: of the test part, or noise.
    """

    run: Run
    facts: dict[str, Any]
    data: Dataset | None
    problem: str
    images: np.ndarray

    def test_figures(
        self, chosen: ExportSelection, model: keras.Model, tell: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """A model's figures on the test part, measured once and kept in the run's record.

        Returns:
            See ``answers_data``; besides, the number of ``images`` and the ``confidence`` of the
            intervals. None if they are not known and the data is gone.
        """
        name = f"test figures of {chosen.name}"
        file = chosen.candidate.model_path
        source = {"data": self.facts["digest"], "model": _digest(file)}
        known = self.run.fact(name)
        if known and known["source"] == source:
            return known["figures"]
        if self.data is None:
            return None
        test = self.data.test
        tell(f"measuring it on the {len(test):,} images of the test part")
        predicted = Predictor(model, len(test))(test.images).argmax(axis=1)
        answers = answers_data(test.labels, predicted, self.data.classes)
        figures = {"images": len(test), "confidence": CONFIDENCE, **answers}
        _keep(self.run, name, {"source": source, "figures": figures}, tell)
        return figures


def gather(run: Run, tell: Callable[[str], None]) -> Evidence:
    """Loads the data of a run; noise takes its place if it cannot be had as it was.

    Raises:
        InputError: If the run has not recorded what its data is.
    """
    tf.get_logger().setLevel("ERROR")  # it warns of every model's trace
    facts = run.fact("dataset")
    if not isinstance(facts, dict):
        raise InputError(f"{run.path} has no record of its data: its search never began")
    data, problem = _data(run, facts["digest"], tell)
    if data is not None:
        return Evidence(run, facts, data, "", sample_images(data.test, VERIFIED_ON).images)
    tell(f"no test images: {problem}")
    shape = (VERIFIED_ON, *facts["image_shape"])
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Evidence(run, facts, None, problem, noise)


def _data(run: Run, digest: str, tell: Callable[[str], None]) -> tuple[Dataset | None, str]:
    try:
        data = load_dataset(**run.config.dataset.model_dump(), tell=tell)
    except InputError as error:
        return None, str(error)
    if data.digest != digest:
        return None, f"{data.name} has other images or labels now than when the search began"
    return data, ""


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _keep(run: Run, name: str, value: dict[str, Any], tell: Callable[[str], None]) -> None:
    """Records a fact where the run can be written; a copy that cannot is exported all the same."""
    try:
        record = Database(run.path / RECORD, create=True)
        try:
            record.set_fact(name, value)
        finally:
            record.close()
    except RunError as error:
        tell(f"the test figures are not kept: {error}")
