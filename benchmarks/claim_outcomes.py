"""The outcomes of docs/claim.md: values of a network that no search optimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.claim_searches import Setting
from xnas_tf.spaces.cells import parse_genotype
from xnas_tf.utils.environment import set_defaults

if TYPE_CHECKING:
    import keras

    from xnas_tf.data import Dataset

FIRST_SEED = 1000
"""Seed of the trainings of networks from the searches with seed 0."""
CLEAN = ("disentanglement", "fidelity")
PLANTED = ({"name": "planted_bug", "method": "integrated_gradients"}, "repair")


class Outcomes:
    """Trains networks without and with a watermark, and measures them.

    Args:
        data: The data set and its training.
    """

    def __init__(self, data: Setting) -> None:
        set_defaults()
        import xnas_tf.distributed
        from xnas_tf.config import load_config
        from xnas_tf.data import load_dataset
        from xnas_tf.data.bug import with_bug
        from xnas_tf.spaces.search_space import SearchSpace

        threads = "distributed.threads_per_rank=1"
        self._plain = [*data.changes, "objectives=[error]", threads]
        config = load_config(overrides=self._plain)
        self._communicator = xnas_tf.distributed.start(config.distributed, True)
        loaded = load_dataset(**config.dataset.model_dump())
        self._clean, self._bugged = with_bug(loaded, {"share": 0.0}), with_bug(loaded, {})
        shape, classes = loaded.image_shape, loaded.classes
        self._space = SearchSpace(config.space.create(shape, classes), shape, classes)

    def measure(self, genotype: str, seed: int) -> dict[str, float | str]:
        """Return a network's values by name, after one training without and one with the bug.

        If a training fails, its values are missing, and the reason is stored as ``failed``.
        """
        masks = self._clean.validation.masks is not None
        localized = [{"name": "mask_mass", "method": "integrated_gradients"}] if masks else []
        clean = self._train(self._clean, genotype, seed, [*CLEAN, *localized])
        bugged = self._train(self._bugged, genotype, seed, PLANTED)
        return clean | {f"bug/{name}": value for name, value in bugged.items()}

    def _train(
        self, data: Dataset, genotype: str, seed: int, record: Sequence[str | dict[str, str]]
    ) -> dict[str, float | str]:
        """Train a network, and return its recorded values, test error and separability."""
        from xnas_tf.candidate import Candidate
        from xnas_tf.config import load_config
        from xnas_tf.evaluation.evaluator import Evaluator

        config = load_config(overrides=[*self._plain, f"record={list(record)}"])
        evaluator = Evaluator(config, data, self._space, self._communicator)
        candidate = Candidate(
            1, genotype, parse_genotype(genotype), seed=seed, epochs=config.training.epochs
        )
        tested: dict[str, float] = {}
        result = evaluator.evaluate(
            candidate, lambda _, model: tested.update(on_test_images(model, data))
        )
        if result.state != "done":
            return {"failed": result.reason}
        return {**result.metrics, **result.objectives, **tested}


def on_test_images(model: keras.Model, data: Dataset) -> dict[str, float]:
    """Return the error on the test split, and the separability of the classes there.

    Separability is the silhouette coefficient (Rousseeuw 1987) of the last features, by true class,
    with cosine distances: 1 for classes that are far apart, and 0 for classes that overlap.
    """
    import keras
    from sklearn.metrics import silhouette_score

    from xnas_tf.keras_tools.preprocessing import to_model_input

    inspected = keras.Model(model.inputs, [model.output, model.get_layer("pool").output])
    probabilities, features = inspected.predict(to_model_input(data.test.images), verbose=0)
    labels = data.test.labels
    is_known = np.isfinite(features).all()
    separability = silhouette_score(features, labels, metric="cosine") if is_known else np.nan
    return {
        "test_error": float((probabilities.argmax(axis=1) != labels).mean()),
        "separability": float(separability),
    }
