"""Makes assumptions about a search's data before the data are known."""

from __future__ import annotations

import keras_tuner

from xnas_tf.keras_tools.settings import clear_session, kept_settings
from xnas_tf.spaces.building import build_model
from xnas_tf.spaces.options import SpaceOptions

IMAGE_SHAPE, CLASSES = (32, 32, 3), 10
"""Values to assume if the default model does not determine them."""


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
