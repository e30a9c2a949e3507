"""Interprets a model, given as a Keras model, a run, a candidate or a path."""

from __future__ import annotations

from typing import Any

from xnas_tf.data import Dataset
from xnas_tf.explanation.named_models import AnyModel, named_model
from xnas_tf.interpretation import flint, nad
from xnas_tf.utils.argument_types import check_types
from xnas_tf.utils.progress import displayed, log_message


@check_types()
def disentangle(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    verbose: int = 1,
    safe: bool = True,
    **options: Any,
) -> nad.Disentanglement:
    """Find each class's path through a trained network, and evaluate the paths.

    Args:
        model: A Keras image classifier; a run, which stands for its recommended candidate; a
            candidate, such as ``run[4]``; or the path to a run, an exported candidate or a
            ``.keras`` file.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
            If None, the run's data set is used.
        *arguments: Further arguments of ``xnas_tf.interpretation.nad.disentangle.disentangle``.
        verbose: Level of output: 0 shows only warnings, 1 adds progress, 2 adds a line per epoch.
        safe: Whether to reject a model that contains Python code, such as a Lambda layer.
        **options: The same arguments, given by name.

    Raises:
        InputError: If an argument is invalid or does not fit the model, or fewer than two classes
            have a correctly classified training image.
    """
    subject = named_model(model, safe)
    with displayed(verbose):
        data = subject.load_dataset(dataset, log_message)
        return nad.disentangle(subject.model, data, *arguments, **options)


@check_types()
def train_interpreter(
    model: AnyModel,
    dataset: str | Dataset | None = None,
    *arguments: Any,
    verbose: int = 1,
    safe: bool = True,
    **options: Any,
) -> flint.Interpretation:
    """Train an interpreter, and evaluate it on the validation and test splits.

    Args:
        model: See ``disentangle``. The model is left unchanged in post-hoc mode, and trained from
            its current weights in by-design mode.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
            If None, the run's data set is used.
        *arguments: Further arguments of
            ``xnas_tf.interpretation.flint.training.train_interpreter``.
        verbose: Level of output: 0 shows only warnings, 1 adds progress, 2 adds a line per epoch.
        safe: See ``disentangle``.
        **options: The same arguments, given by name.

    Raises:
        InputError: If an argument is invalid or does not fit the model.
    """
    subject = named_model(model, safe)
    with displayed(verbose):
        data = subject.load_dataset(dataset, log_message)
        return flint.train_interpreter(subject.model, data, *arguments, **options)
