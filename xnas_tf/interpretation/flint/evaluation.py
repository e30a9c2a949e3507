"""Computes the predictions of the predictor and the interpreter on held-out images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy.stats import rankdata

from xnas_tf.data import Split
from xnas_tf.data.batches import shard
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.distributed import Communicator
from xnas_tf.interpretation.feature_taps import concrete
from xnas_tf.interpretation.flint.interpreter import InterpretedModel, InterpreterOutputs
from xnas_tf.interpretation.flint.predictions import InterpreterPredictions
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.utils.heartbeat import report_progress

BATCH = 250
"""Batch size for predictions."""


def answers(
    model: InterpretedModel, part: Split, communicator: Communicator
) -> InterpreterPredictions:
    """Compute predictions for a split; each rank computes a share and returns the full result."""
    shared = shard(len(part), communicator.rank, communicator.size)
    own = _predict(model, selected(part.images, shared))
    rows = np.zeros((len(part), own.shape[1]))
    rows[shared] = own
    (rows,) = communicator.sum(rows)
    predictor, interpreter, ranks = rows[:, :3].T.astype(np.int64)
    weights = np.asarray(model.linear.kernel, np.float64)
    return InterpreterPredictions(part.labels, predictor, interpreter, ranks, rows[:, 3:], weights)


def _predict(model: InterpretedModel, images: np.ndarray | DiskImages) -> np.ndarray:
    """Return a row per image: f's class, g's class, the rank of f's class in g's logits, and Φ."""
    spec = tf.TensorSpec((None, *model.image_shape), tf.uint8)
    look = concrete(model.predictor, lambda batch: model.look(to_model_input(batch)), spec)
    rows = [np.zeros((0, 3 + model.settings.attributes))]
    for start in range(0, len(images), BATCH):
        batch = tf.constant(images[start : start + BATCH])
        outputs = InterpreterOutputs(*(output.numpy() for output in look(batch)))
        predictor = outputs.predictor.argmax(axis=1)
        interpreter = outputs.interpreter.argmax(axis=1)
        ranks = ranks_in(outputs.interpreter, predictor)
        rows.append(np.column_stack([predictor, interpreter, ranks, outputs.attributes]))
        report_progress()
    return np.concatenate(rows)


def ranks_in(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Compute the rank, from 0, of a class (N,) in each row of logits (N, classes).

    Among equal logits, the lowest class index ranks first, as in ``argmax``.
    """
    return rankdata(-logits, "ordinal", axis=1)[np.arange(len(logits)), classes] - 1
