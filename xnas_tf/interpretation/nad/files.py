"""A disentangled network as files: metrics, masks, figures, TensorBoard images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.nad.disentanglement import DisentanglementData
from xnas_tf.interpretation.nad.drawing import drawings
from xnas_tf.interpretation.nad.metrics import (
    defined_deviation,
    defined_mean,
    mean_of_pairs,
    others_by,
)
from xnas_tf.utils.output_folder import atomic_folder


class Disentanglement(DisentanglementData):
    """The paths of K classes through L layers of a network, with all metrics.

    See ``DisentanglementData`` for its attributes.
    """

    def save(self, out: str | Path, title: str = "") -> Path:
        """Write figures, masks, metrics and TensorBoard images into a new folder, and return it.

        Args:
            out: The folder.
            title: Title of the figures.

        Raises:
            InputError: If the folder exists or cannot be written.
        """
        layers = dict(zip(self.paths.layers, self.paths.soft, strict=True))
        arrays = {"class_names": np.array(self.paths.class_names), **layers}
        with atomic_folder(Path(out)) as draft:
            write_pictures(draft, "disentanglement", drawings(self, title))
            # NumPy's stub takes the arrays for the keyword ``allow_pickle``.
            np.savez_compressed(draft / "masks.npz", **arrays)  # type: ignore[arg-type]
            write_facts(draft / "disentanglement.json", facts(self))
        return Path(out)


def facts(found: DisentanglementData) -> dict[str, Any]:
    """Return all metrics as JSON can hold them; undefined values are None."""
    paths, hits = found.paths, found.hits
    return {
        "diversity": paths.diversity,
        "uncorrected_diversity": paths.uncorrected_diversity,
        "false_alarms": plain(defined_mean(found.hard.false_alarms, 0)),
        "rank_correlation": plain(found.rank_correlation()),
        "kept": float(paths.share.mean()),
        "chance": None if hits is None else hits.collages.chance,
        "settings": asdict(found.lesson),
        "images": found.images,
        "input_range": found.input_range and found.input_range.name,
        "accuracy": found.accuracy and found.accuracy.as_dict(),
        "classes": [_class(found, place) for place in range(len(paths.class_names))],
        "layers": [_layer(found, place) for place in range(len(paths.layers))],
        "similarity": plain(paths.similarity),
        "uncorrected_similarity": plain(paths.layer_uncorrected_similarity.mean(axis=0)),
        "confusion": plain(found.confusion),
        "mistakes": _mistakes(found),
        "left_out": found.left_out,
        "empty": [
            {"class": paths.class_names[unit], "layer": paths.layers[layer]}
            for layer, unit in np.argwhere(paths.kept == 0)
        ],
    }


def _class(found: DisentanglementData, place: int) -> dict[str, Any]:
    paths = found.paths
    names, confusion = paths.class_names, found.confusion[place]
    predictions = {"network": found.plain, "soft": found.soft, "hard": found.hard}
    has_images = np.isfinite(confusion).all()
    confused = others_by(confusion, place) if has_images else []
    return {
        "class": names[place],
        "beta": float(paths.betas[place]),
        "kept": float(paths.share[:, place].mean()),
        "accuracy": {name: plain(each.accuracy[place]) for name, each in predictions.items()},
        "false_alarms": {
            name: plain(each.false_alarms[place]) for name, each in predictions.items()
        },
        "most_similar": [names[other] for other in others_by(paths.similarity[place], place)],
        "most_confused": [names[other] for other in confused],
        "rank_correlation": plain(found.rank_correlation(place)),
    }


def _layer(found: DisentanglementData, place: int) -> dict[str, Any]:
    paths, hits = found.paths, found.hits
    rates = np.full(len(paths.class_names), np.nan) if hits is None else hits.by_class[place]
    return {
        "layer": paths.layers[place],
        "channels": int(paths.channels[place]),
        "kept": dict(zip(paths.class_names, paths.kept[place].tolist(), strict=True)),
        "similarity": mean_of_pairs(paths.layer_similarity[place]),
        "uncorrected_similarity": mean_of_pairs(paths.layer_uncorrected_similarity[place]),
        "expected_similarity": mean_of_pairs(paths.layer_expected_similarity[place]),
        "hit_rate": {
            "mean": plain(defined_mean(rates, 0)),
            "deviation": plain(defined_deviation(rates, 0)),
            "classes": dict(zip(paths.class_names, plain(rates), strict=True)),
        },
    }


def _mistakes(found: DisentanglementData) -> dict[str, Any]:
    """Return how the paths of predicted classes relate to those of true classes.

    That is, how often the predicted class's path is among the three most similar ones, and how
    often an image agrees more with it than with the true class's path, over all layers.
    """
    mistakes, names = found.mistakes, found.paths.class_names
    pairs = list(zip(mistakes.labels, mistakes.predicted, strict=True))
    similarity = found.paths.similarity
    is_near = [predicted in others_by(similarity[label], label) for label, predicted in pairs]
    right, wrong = (defined_mean(each, axis=0) for each in (mistakes.right, mistakes.wrong))
    is_nearer = np.where(np.isfinite(right - wrong), wrong > right, np.nan)
    return {
        "count": len(pairs),
        "taken_for_a_similar_class": plain(defined_mean(np.array(is_near, float), axis=0)),
        "by_chance": min(1.0, 3 / (len(names) - 1)),
        "nearer_to_wrong_path": plain(defined_mean(is_nearer, axis=0)),
        "images": [
            {
                "label": names[label],
                "predicted": names[predicted],
                "right_path": plain(mistakes.right[:, image]),
                "wrong_path": plain(mistakes.wrong[:, image]),
            }
            for image, (label, predicted) in enumerate(pairs)
        ],
    }
