"""Quality of the attribution maps of an exported model, compared with random maps."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.metrics import deletion, insertion
from xnas_tf.exporting.verification import Reference
from xnas_tf.keras_tools.preprocessing import to_model_input

RANDOM = "random maps"
"""The name under which the metrics of random maps are recorded."""


def map_quality(model: keras.Model, expected: Reference) -> dict[str, dict[str, float]]:
    """Compute mean deletion and insertion for each attribution method and for ``RANDOM`` maps.

    A method that does no better than random maps shows nothing about the model.
    """
    images = to_model_input(expected.images).numpy()
    maps = {method.name: expected.outputs[method.name] for method in expected.methods}
    drawn = np.random.default_rng(0).random(images.shape[:3], np.float32)
    measures = {"deletion": deletion, "insertion": insertion}
    return {
        name: {
            measure: float(np.mean(compute(model, images, values)))
            for measure, compute in measures.items()
        }
        for name, values in ({**maps, RANDOM: drawn} if maps else {}).items()
    }
