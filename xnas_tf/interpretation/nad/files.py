"""A disentangled network as files: figures, masks, pictures, TensorBoard images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.nad.evaluation import defined_deviation, defined_mean
from xnas_tf.interpretation.nad.metrics import others_by
from xnas_tf.utils.output_folder import new_folder

if TYPE_CHECKING:
    from xnas_tf.interpretation.nad.disentanglement import DisentanglementData


def save(found: DisentanglementData, out: Path, title: str = "") -> Path:
    """Write a new folder; see ``Disentanglement.save``."""
    from xnas_tf.interpretation.nad.drawing import drawings

    with new_folder(out) as draft:
        write_pictures(draft, "disentanglement", drawings(found, title))
        np.savez_compressed(draft / "masks.npz", **_arrays(found))
        write_facts(draft / "disentanglement.json", facts(found))
    return out


def _arrays(found: DisentanglementData) -> dict[str, np.ndarray]:
    soft = {layer: mask for layer, mask in zip(found.paths.layers, found.paths.soft, strict=True)}
    return {"class_names": np.array(found.paths.class_names), **soft}


def facts(found: DisentanglementData) -> dict[str, Any]:
    """All figures, for programs; what is not defined is null."""
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
    answers = {"network": found.plain, "soft": found.soft, "hard": found.hard}
    return {
        "class": paths.class_names[place],
        "beta": float(paths.betas[place]),
        "kept": float(paths.share[:, place].mean()),
        "accuracy": {name: plain(each.accuracy[place]) for name, each in answers.items()},
        "false_alarms": {name: plain(each.false_alarms[place]) for name, each in answers.items()},
        "most_similar": nearest(found, place)[0],
        "most_confused": nearest(found, place)[1],
        "rank_correlation": plain(found.rank_correlation(place)),
    }


def nearest(found: DisentanglementData, place: int) -> tuple[list[str], list[str]]:
    """The three classes of the most similar paths, and the three most confused with a class;
    the latter are unknown, an empty list, where no image of it was held out."""
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


def _mean_of_pairs(similar: np.ndarray) -> float:
    """The mean over pairs of different classes of (K, K)."""
    return float(similar[~np.eye(len(similar), dtype=bool)].mean())


def _mistakes(found: DisentanglementData) -> dict[str, Any]:
    """How often the path of the class taken for is among the three most similar ones, and how
    often an image agrees more with it than with the right class's, over all layers."""
    mistakes, names = found.mistakes, found.paths.class_names
    near = [
        taken in others_by(found.paths.similarity[label], label)
        for label, taken in zip(mistakes.labels, mistakes.predicted, strict=True)
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
                "predicted": names[taken],
                "right_path": plain(mistakes.right[:, image]),
                "wrong_path": plain(mistakes.wrong[:, image]),
            }
            for image, (label, taken) in enumerate(
                zip(mistakes.labels, mistakes.predicted, strict=True)
            )
        ],
    }
