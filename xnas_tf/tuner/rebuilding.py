"""Builds models with a tuner's HyperModel: the default one, or a candidate's trained one again."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner

from xnas_tf.candidate import Candidate
from xnas_tf.data.batches import batching
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.keras_tools.layer_names import use_accepted_names
from xnas_tf.keras_tools.settings import clear_session, kept_settings
from xnas_tf.spaces.building import build_model, code_of
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.storage.run import Run
from xnas_tf.training.compilation import compile_model
from xnas_tf.utils.source_code import changed_files, source_hashes

IMAGE_SHAPE, CLASSES = (32, 32, 3), 10
"""Values to assume if the default model does not determine them."""


def rebuilt_model(
    candidate: Candidate,
    run: Run,
    hypermodel: keras_tuner.HyperModel,
    image_shape: tuple[int, int, int],
    safe: bool,
) -> keras.Model:
    """Return a candidate's trained model, compiled by the HyperModel or as in the search.

    Raises:
        InputError: If the code of the HyperModel has changed since the search.
    """
    if files := changed_files(run.fact("code"), source_hashes(code_of(hypermodel))):
        raise InputError(
            f"candidate {candidate.id}: the code of `hypermodel` has changed since the search: "
            f"{', '.join(files)}. Candidate.load_model() loads the model that was saved"
        )
    weights = candidate.load_model(safe).get_weights()
    hp = keras_tuner.HyperParameters()
    hp.values = dict(candidate.hyperparameters)
    with kept_settings():
        model, _ = build_model(hypermodel, hp, (None, *image_shape))
    use_accepted_names(model)
    try:
        network_of(model).set_weights(weights)  # a model with its own training may have more
    except ValueError as error:
        raise InputError(
            f"candidate {candidate.id}: `hypermodel` now builds a different model: {error}"
        ) from error
    if not model.compiled:
        training = run.config.training.model_copy(update={"epochs": candidate.epochs})
        facts: dict[str, Any] = run.fact("dataset") or run.load_dataset().facts
        _, steps = batching(facts["images"]["train"], training.batch_size)
        compile_model(model, training, steps)
    return declare_range(model)


def assumed_data(space: SpaceOptions) -> tuple[tuple[int, int, int], int]:
    """Return the image shape and the number of classes that a space's default model expects."""
    try:
        hypermodel = space.create(IMAGE_SHAPE, CLASSES)
        hp = keras_tuner.HyperParameters()
        with kept_settings():
            model, _ = build_model(hypermodel, hp, (None, *IMAGE_SHAPE))
        height, width, channels = (*model.input_shape[1:], 1)[:3]
        return (height or 32, width or 32, channels or 3), max(2, model.output_shape[-1])
    except Exception:  # noqa: BLE001 - from a user's code; the search space reports the error
        return IMAGE_SHAPE, CLASSES
    finally:
        clear_session()
