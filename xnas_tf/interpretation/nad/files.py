"""A disentangled network as files: metrics, masks, figures, TensorBoard images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.nad.drawing import drawings
from xnas_tf.interpretation.nad.evaluation import defined_deviation, defined_mean
from xnas_tf.interpretation.nad.metrics import others_by
from xnas_tf.utils.output_folder import atomic_folder

if TYPE_CHECKING:
    from xnas_tf.interpretation.nad.disentanglement import DisentanglementData


def save(found: DisentanglementData, out: Path, title: str = "") -> Path:
    """Write a disentangled network into a new folder; see ``Disentanglement.save``."""
    with atomic_folder(out) as draft:
        write_pictures(draft, "disentanglement", drawings(found, title))
        arrays = {
            "class_names": np.array(found.paths.class_names),
            **dict(zip(found.paths.layers, found.paths.soft, strict=True)),
        }
        # NumPy's stub takes the arrays for the keyword ``allow_pickle``.
        np.savez_compressed(draft / "masks.npz", **arrays)  # type: ignore[arg-type]
        write_facts(draft / "disentanglement.json", facts(found))
    return out


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
    predictions = {"network": found.plain, "soft": found.soft, "hard": found.hard}
    similar, confused = nearest(found, place)
    return {
        "class": paths.class_names[place],
        "beta": float(paths.betas[place]),
        "kept": float(paths.share[:, place].mean()),
        "accuracy": {name: plain(each.accuracy[place]) for name, each in predictions.items()},
        "false_alarms": {
            name: plain(each.false_alarms[place]) for name, each in predictions.items()
        },
        "most_similar": similar,
        "most_confused": confused,
        "rank_correlation": plain(found.rank_correlation(place)),
    }


def nearest(found: DisentanglementData, place: int) -> tuple[list[str], list[str]]:
    """Return the three classes with the most similar paths, and the three most confused with it.

    The latter list is empty if there are no held-out images of the class.

    Args:
        found: The network.
        place: Index of the class.
    """
    names, confusion = found.paths.class_names, found.confusion[place]
    similar = others_by(found.paths.similarity[place], place)
    confused = others_by(confusion, place) if np.isfinite(confusion).all() else []
    return [names[other] for other in similar], [names[other] for other in confused]


def _layer(found: DisentanglementData, place: int) -> dict[str, Any]:
    paths, hits = found.paths, found.hits
    rates = np.full(len(paths.class_names), np.nan) if hits is None else hits.by_class[place]
    return {
        "layer": paths.layers[place],
        "channels": int(paths.channels[place]),
        "kept": dict(zip(paths.class_names, paths.kept[place].tolist(), strict=True)),
        "similarity": _mean_of_pairs(paths.layer_similarity[place]),
        "uncorrected_similarity": _mean_of_pairs(paths.layer_uncorrected_similarity[place]),
        "expected_similarity": _mean_of_pairs(paths.layer_expected_similarity[place]),
        "hit_rate": {
            "mean": plain(defined_mean(rates, 0)),
            "deviation": plain(defined_deviation(rates, 0)),
            "classes": dict(zip(paths.class_names, plain(rates), strict=True)),
        },
    }


def _mean_of_pairs(similarity: np.ndarray) -> float:
    """Return the mean of similarities (K, K) over pairs of different classes."""
    return float(similarity[~np.eye(len(similarity), dtype=bool)].mean())


def _mistakes(found: DisentanglementData) -> dict[str, Any]:
    """Return how the paths of predicted classes relate to those of true classes.

    That is, how often the predicted class's path is among the three most similar ones, and how
    often an image agrees more with it than with the true class's path, over all layers.
    """
    mistakes, names = found.mistakes, found.paths.class_names
    pairs = list(zip(mistakes.labels, mistakes.predicted, strict=True))
    near = [
        predicted in others_by(found.paths.similarity[label], label) for label, predicted in pairs
    ]
    right, wrong = (defined_mean(each, axis=0) for each in (mistakes.right, mistakes.wrong))
    known = np.isfinite(right) & np.isfinite(wrong)
    return {
        "count": len(near),
        "taken_for_a_similar_class": plain(np.mean(near)) if near else None,
        "by_chance": min(1.0, 3 / (len(names) - 1)),
        "nearer_to_wrong_path": plain(np.mean(wrong[known] > right[known]))
        if known.any()
        else None,
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
