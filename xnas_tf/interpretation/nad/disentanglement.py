"""A disentangled network, with its metrics and files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.interpretation.drawing import drawn
from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.nad import metrics
from xnas_tf.interpretation.nad.drawing import drawings
from xnas_tf.interpretation.nad.evaluation import Mistakes, PathHits, PathPredictions
from xnas_tf.interpretation.nad.expert_text import paths_page
from xnas_tf.interpretation.nad.mask_training import MaskTrainingOptions
from xnas_tf.interpretation.nad.masks import Paths
from xnas_tf.interpretation.nad.tables import disentanglement_tables
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.utils.markup import page_html, rich_html, short_repr
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.shown_channels import shown_channels_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Disentanglement:
    """The paths of K classes through L layers of a network, with all metrics.

    Undefined values, such as the hit rate of an empty mask or the accuracy on a class without
    images, are NaN here and null in JSON.

    Attributes:
        paths: The masks and their similarity.
        plain: Predictions without masks.
        soft: Predictions with soft masks.
        hard: Predictions with binary masks.
        confusion: Mean probability of class j on images of class i, without masks, (K, K).
        hits: The hit rates of the paths; None if no collages could be made.
        mistakes: Test images that the network misclassifies.
        mask_options: The options used to learn the masks.
        left_out: Reasons why classes have no path, by class name.
        images: Number of images used, by split name.
        input_range: The range of the network's inputs.
        accuracy: Accuracy on all images of the test split.
        all_class_names: Names of all classes of the network.
    """

    paths: Paths
    plain: PathPredictions
    soft: PathPredictions
    hard: PathPredictions
    confusion: np.ndarray
    hits: PathHits | None
    mistakes: Mistakes
    mask_options: MaskTrainingOptions
    left_out: dict[str, str]
    images: dict[str, int]
    input_range: InputRange
    accuracy: Accuracy
    all_class_names: Sequence[str]

    @property
    def diversity(self) -> float:
        """The network's interpretability score, in [0, 2]; see ``Paths.diversity``."""
        return self.paths.diversity

    def rank_correlation(self, place: int | None = None) -> float:
        """Compute Spearman's correlation between the similarity and confusion of class pairs.

        If ``place`` is given, only pairs that include the class with this index are used. The
        result is NaN if all similarities or all confusions are equal.
        """
        chosen = ~np.eye(len(self.confusion), dtype=bool)
        if place is not None:
            chosen[np.arange(len(chosen)) != place] = False
        return metrics.rank_correlation(self.paths.similarity[chosen], self.confusion[chosen])

    def plot(self, which: str = "similarity") -> Figure:
        """Draw one figure, with a title.

        Args:
            which: The figure's name: ``similarity`` (of the paths, next to the network's
                confusions), ``kept`` (channels by depth), ``layer_similarity`` or ``paths``; also
                ``hit_rate`` and ``collages`` if there are collages, and ``mistakes`` if the network
                made any. Error bars are standard deviations over classes.

        Raises:
            InputError: If the figure does not exist.
        """
        return drawn(self._drawings(), f"{self._title}; {self.accuracy.text}", which)[which]

    @property
    def _title(self) -> str:
        layers = counted(len(self.paths.layers), "layer")
        return f"Paths of {len(self.paths.class_names)} classes through {layers}"

    def __repr__(self) -> str:
        classes, layers = len(self.paths.class_names), len(self.paths.layers)
        return short_repr(self, classes=classes, layers=layers, diversity=f"{self.diversity:.3f}")

    def _repr_html_(self) -> str:
        notes = [f"class {name} was left out: {why}" for name, why in self.left_out.items()]
        tables = map(rich_html, disentanglement_tables(facts(self)))
        return page_html(self._title, {"test split": self.accuracy.text}, *tables, notes=notes)

    def _drawings(self) -> dict[str, Callable[[], Figure]]:
        return drawings(self.paths, self.confusion, self.hits, self.mistakes)

    def save(self, out: str | Path, title: str = "") -> Path:
        """Write figures, masks, metrics and TensorBoard images to a new folder; return its path.

        The folder's ``index.html`` explains the result to readers who know the images.

        Args:
            out: The folder.
            title: Title of the figures and subtitle of the page.

        Raises:
            InputError: If the folder exists or cannot be written.
        """
        layers = dict(zip(self.paths.layers, self.paths.soft, strict=True))
        arrays = {"class_names": np.array(self.paths.class_names), **layers}
        with atomic_folder(Path(out)) as draft:
            pictures = write_pictures(draft, "disentanglement", drawn(self._drawings(), title))
            # NumPy's type stub mistakes the arrays for the keyword argument ``allow_pickle``.
            np.savez_compressed(draft / "masks.npz", **arrays)  # type: ignore[arg-type]
            write_facts(draft / "disentanglement.json", facts(self))
            paths_page(facts(self)).write(draft, title, pictures)
        return Path(out)


def facts(found: Disentanglement) -> dict[str, Any]:
    """Return all metrics as JSON values; undefined values are None."""
    paths, hits = found.paths, found.hits
    return {
        "diversity": paths.diversity,
        "uncorrected_diversity": paths.uncorrected_diversity,
        "false_alarms": plain(metrics.defined_mean(found.hard.false_alarms, 0)),
        "rank_correlation": plain(found.rank_correlation()),
        "kept": float(paths.share.mean()),
        "chance": None if hits is None else hits.collages.chance,
        "settings": asdict(found.mask_options),
        "images": found.images,
        "input_range": found.input_range.name,
        "shown_channels": shown_channels_sentence(found.mistakes.images.shape),
        "accuracy": found.accuracy.as_dict(),
        "accuracy_by_class": found.accuracy.classes(found.all_class_names),
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


def _class(found: Disentanglement, place: int) -> dict[str, Any]:
    paths = found.paths
    names = paths.class_names
    predictions = {"network": found.plain, "soft": found.soft, "hard": found.hard}
    taken = found.mistakes.predicted[found.mistakes.labels == place]
    times = np.bincount(taken, minlength=len(names))
    confused = [other for other in metrics.others_by(times, place) if times[other]]
    return {
        "class": names[place],
        "beta": float(paths.betas[place]),
        "own_path": bool(paths.has_own_path[place]),
        "keeps_all": bool(paths.share[:, place].min() == 1),
        "kept": float(paths.share[:, place].mean()),
        "accuracy": {name: plain(each.accuracy[place]) for name, each in predictions.items()},
        "false_alarms": {
            name: plain(each.false_alarms[place]) for name, each in predictions.items()
        },
        "most_similar": [names[other] for other in paths.most_similar(place)],
        "most_confused": [names[other] for other in confused],
        "rank_correlation": plain(found.rank_correlation(place)),
    }


def _layer(found: Disentanglement, place: int) -> dict[str, Any]:
    paths, hits = found.paths, found.hits
    rates = np.full(len(paths.class_names), np.nan) if hits is None else hits.by_class[place]
    return {
        "layer": paths.layers[place],
        "channels": int(paths.channels[place]),
        "kept": dict(zip(paths.class_names, paths.kept[place].tolist(), strict=True)),
        "similarity": metrics.mean_of_pairs(paths.layer_similarity[place]),
        "uncorrected_similarity": metrics.mean_of_pairs(paths.layer_uncorrected_similarity[place]),
        "expected_similarity": metrics.mean_of_pairs(paths.layer_expected_similarity[place]),
        "hit_rate": {
            "mean": plain(metrics.defined_mean(rates, 0)),
            "deviation": plain(metrics.defined_deviation(rates, 0)),
            "classes": dict(zip(paths.class_names, plain(rates), strict=True)),
        },
    }


def _mistakes(found: Disentanglement) -> dict[str, Any]:
    """Compare the paths of the predicted and the true classes of misclassified images.

    The result says how often the predicted class's path is among the three most similar ones, and
    how often an image agrees more with it than with the true class's path, over all layers. Only
    images are compared whose two classes have paths of their own.
    """
    mistakes, names, paths = found.mistakes, found.paths.class_names, found.paths
    pairs = list(zip(mistakes.labels, mistakes.predicted, strict=True))
    is_compared = paths.has_own_path[mistakes.labels] & paths.has_own_path[mistakes.predicted]
    near = np.array([paths.similar_share(*pair) for pair in pairs])
    right = metrics.defined_mean(mistakes.right, axis=0)
    wrong = metrics.defined_mean(mistakes.wrong, axis=0)
    is_nearer = np.where(np.isfinite(right - wrong), wrong > right, np.nan)
    return {
        "count": mistakes.total,
        "compared": int(is_compared.sum()),
        "taken_for_a_similar_class": plain(metrics.defined_mean(near[is_compared], axis=0)),
        "by_chance": min(1.0, metrics.NEAREST / max(1, int(paths.has_own_path.sum()) - 1)),
        "nearer_to_wrong_path": plain(metrics.defined_mean(is_nearer[is_compared], axis=0)),
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
