"""Draws and saves images together with a model's predictions and attribution maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.metrics.maps import is_empty, is_flat
from xnas_tf.explanation.drawing import COLUMNS, attribution_figure, overlay
from xnas_tf.explanation.expert_text import explanation_page
from xnas_tf.explanation.quality import RANDOM_KEY
from xnas_tf.explanation.regions import concentrations
from xnas_tf.explanation.tables import explanation_tables
from xnas_tf.interpretation.files import plain
from xnas_tf.keras_tools.input_range import Origin
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.training.class_predictions import OtherRange
from xnas_tf.utils.markup import page_html, rich_html, short_repr
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.pictures import png
from xnas_tf.utils.shown_channels import shown_channels_sentence
from xnas_tf.utils.tensorboard import write_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Explanation:
    """Images together with a model's predictions and attribution maps.

    Attributes:
        images: The given images, (N, H, W, C).
        probabilities: The predicted class probabilities, (N, classes).
        targets: The class explained for each image, (N,).
        class_names: Names of the classes.
        labels: The true class of each image, (N,); None if unknown.
        maps: Maps (N, H, W) by method.
        quality: Metrics (N,) by method and name; see ``xnas_tf.attribution.metrics``. The value is
            NaN where a map is empty.
        failures: Reasons why methods produced no maps, by the method's title.
        input_range: The range to which the images were scaled; empty if they were not scaled.
        range_origin: How this range was determined; None if they were not scaled.
        other_ranges: Comparisons with other ranges on the images, if their classes are known and
            the range was only assumed.
        accuracy: The model's accuracy on the whole test split; None if not measured.
        files: The N image files, relative to the folder of a data set; empty if there are none.
        only_mistakes: Whether only images that the model misclassifies were chosen.
        random_quality: Deletion and insertion of random maps, (N,) by name; empty if not measured.
    """

    images: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray
    class_names: Sequence[str]
    labels: np.ndarray | None = None
    maps: dict[AttributionMethod, np.ndarray] = field(default_factory=dict)
    quality: dict[AttributionMethod, dict[str, np.ndarray]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    input_range: str = ""
    range_origin: Origin | None = None
    other_ranges: Sequence[OtherRange] = ()
    accuracy: Accuracy | None = None
    files: Sequence[str] = ()
    only_mistakes: bool = False
    random_quality: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def warnings(self) -> list[str]:
        """Methods that were left out or whose maps are empty or flat, with the reasons."""
        texts = [f"{title} was left out: {why}" for title, why in self.failures.items()]
        total = counted(len(self.images), "image")
        for method, maps in self.maps.items():
            empty, flat = int(is_empty(maps).sum()), int(is_flat(maps).sum())
            if broken := int((~np.isfinite(maps)).any(axis=(1, 2)).sum()):
                texts.append(
                    f"{method.title} is not finite for {broken} of {total}: the model's output, or "
                    "its gradient, is not a finite number near these images"
                )
            if empty:
                left_out = "; its mean quality leaves them out" if self.quality.get(method) else ""
                texts.append(
                    f"{method.title} is empty for {empty} of {total}: {method.why_empty}. Use "
                    f"another method for these images{left_out}"
                )
            if flat:
                texts.append(
                    f"{method.title} is flat for {flat} of {total}: it rates all pixels about "
                    "equally, so it does not show a place"
                )
        return texts

    def figure(self, title: str = "", chosen: slice = slice(None)) -> Figure:
        """Draw some or all of the images, with the maps of each method below them."""
        headings = [self._heading(number) for number in range(len(self.images))[chosen]]
        maps = {method: values[chosen] for method, values in self.maps.items()}
        return attribution_figure(self.images[chosen], maps, headings, title)

    def plot(self, images: int = 6) -> Figure:
        """Draw the first images, with a title and the maps of each method below them."""
        count = len(self.images)
        shown = f"the first {images} of {count} images"
        title = f"Explanations of {shown if images < count else counted(count, 'image')}"
        accuracy = f"; {self.accuracy.text}" if self.accuracy else ""
        return self.figure(f"{title}{accuracy}", slice(images))

    def __repr__(self) -> str:
        return short_repr(self, images=len(self.images), methods=f"[{', '.join(self._methods())}]")

    def _repr_html_(self) -> str:
        accuracy = self.accuracy and self.accuracy.text
        assumed = " (assumed)" if self.range_origin == "assumed" else ""
        facts = {"test split": accuracy, "input range": f"{self.input_range}{assumed}"}
        tables = map(rich_html, explanation_tables(self.as_dict()))
        title = f"Explanation of {counted(len(self.images), 'image')}"
        return page_html(title, facts, *tables, notes=self.warnings)

    def save(self, out: str | Path, title: str = "") -> Path:
        """Write figures with a title, maps, metrics and TensorBoard images into a new folder.

        The folder's ``index.html`` explains the maps to readers who know the images.

        Raises:
            InputError: If the folder exists or cannot be written.
        """
        with atomic_folder(Path(out)) as draft:
            pictures = self._write_pictures(draft, title)
            # NumPy's type stub mistakes the arrays for the keyword argument ``allow_pickle``.
            np.savez_compressed(draft / "maps.npz", **self._arrays())  # type: ignore[arg-type]
            text = json.dumps(self.as_dict(), indent=2)
            (draft / "explanation.json").write_text(text, encoding="utf-8")
            explanation_page(self.as_dict()).write(draft, title, pictures)
        return Path(out)

    def as_dict(self) -> dict[str, Any]:
        """Return predictions and the quality of the maps as JSON values, with None for NaN."""
        images = [
            {
                "file": self.files[i] if self.files else None,
                "predicted": self.class_names[int(predicted)],
                "probability": plain(self.probabilities[i, predicted]),
                "explained": self.class_names[int(self.targets[i])],
                "label": None if self.labels is None else self.class_names[int(self.labels[i])],
            }
            for i, predicted in enumerate(self.predicted)
        ]
        return {
            "input_range": self.input_range or None,
            "range_origin": self.range_origin,
            "other_ranges": [each.as_dict() for each in self.other_ranges],
            "accuracy": self.accuracy and self.accuracy.as_dict(),
            "accuracy_by_class": self.accuracy.classes(self.class_names) if self.accuracy else [],
            "only_mistakes": self.only_mistakes,
            "shown_channels": shown_channels_sentence(self.images.shape),
            "images": images,
            "methods": {key: self._method_facts(each) for key, each in self._methods().items()},
            RANDOM_KEY: _measured(self.random_quality, np.ones(len(self.images), bool)),
            "failures": self.failures,
            "warnings": self.warnings,
        }

    def _method_facts(self, method: AttributionMethod) -> dict[str, Any]:
        empty = is_empty(self.maps[method])
        return {
            "title": method.title,
            "options": method.model_dump(mode="json"),
            "empty": empty.tolist(),
            "concentrated": [
                {**each._asdict(), "target": self.class_names[each.target]}
                for each in concentrations(self.maps[method], self.targets)
            ],
            "quality": _measured(self.quality.get(method, {}), ~empty),
        }

    def _heading(self, number: int) -> tuple[str, str]:
        """Return the heading of an image and its colour, which is red for wrong predictions."""
        predicted = self.class_names[int(self.predicted[number])]
        if self.labels is None:
            return f"predicted: {predicted}", "black"
        true = self.class_names[int(self.labels[number])]
        return (true, "black") if true == predicted else (f"{true}, predicted {predicted}", "#a00")

    def _methods(self) -> dict[str, AttributionMethod]:
        """Return the methods by file name, numbered if a method has several sets of options."""
        names = [method.name for method in self.maps]
        return {
            name if names.count(name) == 1 else f"{name}_{1 + names[:i].count(name)}": method
            for i, (method, name) in enumerate(zip(self.maps, names, strict=True))
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {
            "images": self.images,
            "probabilities": self.probabilities,
            "targets": self.targets,
        }
        if self.labels is not None:
            arrays["labels"] = self.labels
        return arrays | {key: self.maps[method] for key, method in self._methods().items()}

    def _write_pictures(self, folder: Path, title: str) -> dict[str, bytes]:
        """Write overviews and overlays; return the overviews by name."""
        overviews = {}
        for number, start in enumerate(range(0, len(self.images), COLUMNS), start=1):
            picture = png(self.figure(title, slice(start, start + COLUMNS)), dpi=150)
            overviews[f"overview-{number}"] = picture
            (folder / f"overview-{number}.png").write_bytes(picture)
        write_images(folder / "tensorboard", "attributions", list(overviews.values()))
        (folder / "overlays").mkdir()
        for key, method in self._methods().items():
            for number, values in enumerate(self.maps[method]):
                image = overlay(self.images[number], values, method.signed)
                image.save(folder / "overlays" / f"{number:04d}-{key}.png")
        return overviews


def _measured(quality: Mapping[str, np.ndarray], kept: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return the values of each metric, (N,), and their mean over the kept images, (N,)."""

    def mean(values: np.ndarray) -> Any:
        return plain(np.mean(values[kept])) if kept.any() else None

    return {name: {"mean": mean(each), "images": plain(each)} for name, each in quality.items()}
