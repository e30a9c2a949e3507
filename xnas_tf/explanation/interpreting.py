"""Interpreting a model that is named in any way: a Keras model, a run, a candidate or a path."""

from __future__ import annotations

from typing import Any

from xnas_tf.data import Dataset
from xnas_tf.explanation.named_models import AnyModel, named_model
from xnas_tf.interpretation import flint, nad


def disentangle(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    safe: bool = True,
    **options: Any,
) -> nad.Disentanglement:
    """Find each class's path through a trained network, and evaluate the paths.

    Args:
        model: A Keras image classifier; a run, whose recommended candidate is meant; a candidate,
            such as ``run[4]``; or the path of a run, an exported candidate or a ``.keras`` file.
        dataset: A data set or its name; that of the run if None.
        safe: Whether to refuse to load a model that contains code of its own, as a Lambda layer
            does.
        *arguments: The further ones of ``xnas_tf.interpretation.nad.disentangle.disentangle``.
        **options: The same, by name.

    Raises:
        InputError: If an argument is wrong or does not fit the model, or fewer than two classes
            have a correctly classified training image.
    """
    subject = named_model(model, safe)
    data = subject.load_dataset(dataset)
    return nad.disentangle(subject.model, data, *arguments, **options)


def train_interpreter(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    safe: bool = True,
    **options: Any,
) -> flint.Interpretation:
    """Train an interpreter, and evaluate it on the validation and the test split.

    Args:
        model: See ``disentangle``. Post-hoc it is not changed; by design it is trained, starting
            from its current weights.
        dataset: A data set or its name; that of the run if None.
        safe: See ``disentangle``.
        *arguments: Those of ``xnas_tf.interpretation.flint.training.train_interpreter``.
        **options: The same, by name.

    Raises:
        InputError: If an argument is wrong or does not fit the model.
    """
    subject = named_model(model, safe)
    data = subject.load_dataset(dataset)
    return flint.train_interpreter(subject.model, data, *arguments, **options)
