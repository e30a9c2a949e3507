"""A data set as people want to see it before a search: counts, problems, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.config import Config, load_config
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.image_list import PARTS
from xnas_tf.errors import InputError
from xnas_tf.utils.pictures import png

SHOWN_CLASSES = 40
"""Classes in the table; JSON has all."""
SHOWN_PROBLEMS = 100
"""Files in the table; JSON has all."""


@dataclass(frozen=True)
class DataReport:
    """A data set, and what a configuration would do to it.

    Attributes:
        dataset: The data set.
        config: The configuration.
    """

    dataset: Dataset
    config: Config

    @property
    def steps(self) -> dict[str, str]:
        """What is done to the images, in this order."""
        return {
            "size": self._size(),
            "channels": self._channels(),
            "split": self._split(),
            "normalisation": self.dataset.scaling.rule,
            "augmentation": self._augmentation(),
        }

    @property
    def notes(self) -> list[str]:
        """What its owner should know; a reason for which a search would refuse it comes first."""
        left_out, most = len(self.dataset.findings.unreadable), self.config.dataset.max_corrupt
        share = left_out / (left_out + sum(map(len, self.dataset.parts.values())))
        refused = (
            f"a search refuses this: {share:.0%} is unreadable, dataset.max_corrupt {most:.0%}"
        )
        return [refused] * (share > most) + self.dataset.notes

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        counts = self.dataset.counts
        classes = {
            name: {part: int(counts[part][number]) for part in PARTS}
            for number, name in enumerate(self.dataset.class_names)
        }
        return {
            "dataset": self.dataset.name,
            **self.dataset.facts,
            "classes": classes,
            "imbalance": round(self.dataset.imbalance, 3),
            "steps": self.steps,
            "problems": self.dataset.findings.as_dict(),
            "notes": self.notes,
        }

    def save_sheet(self, path: Path) -> None:
        """Draws some images of each class into a PNG file.

        Raises:
            InputError: If the file cannot be written.
        """
        from xnas_tf.reporting.contact_sheet import sheet_figure

        picture = png(sheet_figure(self.dataset), dpi=110)
        try:
            path.write_bytes(picture)
        except OSError as error:
            raise InputError(f"--out {path} cannot be written: {error}") from error

    def _size(self) -> str:
        height, width, _ = self.dataset.image_shape
        sizes = self.dataset.findings.sizes
        if not sizes:
            return f"{width}x{height} pixels (width x height)"
        texts = {kind: f"{w}x{h}" for kind, (h, w) in sizes.items()}
        given = "given" if self.config.dataset.size else "the usual size; dataset.size changes it"
        many = self.dataset.findings.different_sizes
        mixed = f"{texts['smallest']} to {texts['largest']}, {many} sizes"
        known = mixed if many > 1 else f"all {texts['median']}"
        return f"{known}; stretched to {width}x{height} pixels (width x height: {given})"

    def _channels(self) -> str:
        depth = self.dataset.image_shape[2]
        grey = len(self.dataset.findings.grey)
        kind = {1: "1 (grey)", 3: "3 (red, green, blue)"}.get(depth, str(depth))
        return f"{kind}; {grey} images without colour get three equal ones" if grey else kind

    def _split(self) -> str:
        sizes = {name: len(part) for name, part in self.dataset.parts.items()}
        total = sum(sizes.values())
        shares = ", ".join(f"{name} {n:,} ({n / total:.0%})" for name, n in sizes.items())
        return f"{shares}; {self.dataset.how_split}; seed {self.config.dataset.seed}"

    def _augmentation(self) -> str:
        given = self.config.training.augmentation
        flips = self.dataset.mirrored if given.flip == "auto" else given.flip
        done = [
            f"random crop after {given.crop} pixels of padding" * (given.crop > 0),
            "random horizontal flips" * flips,
            f"a square of {given.cutout} pixels blanked out" * (given.cutout > 0),
        ]
        is_unknown = given.flip == "auto" and self.dataset.findings.sizes and not flips
        hint = "; training.augmentation.flip: true if mirror images mean the same" * bool(
            is_unknown
        )
        return (", ".join(filter(None, done)) or "none") + hint


def inspect_data(
    dataset: str | Path | Config,
    overrides: Iterable[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> DataReport:
    """Loads a data set as a search would, and says what there is to know.

    Args:
        dataset: A data set's name, a YAML configuration file, or a configuration.
        overrides: Texts ``section.key=value``.
        tell: Is told of work that takes a while.

    Raises:
        InputError: If there is no such data set, or it isn't fit for classification.
    """
    is_file = not isinstance(dataset, Config) and Path(dataset).suffix in (".yaml", ".yml")
    named = dataset if is_file or isinstance(dataset, Config) else Config(dataset=str(dataset))
    config = load_config(named, overrides)
    # Whatever a search would refuse for its broken files is shown with these.
    settings = {**config.dataset.model_dump(), "max_corrupt": 1.0}
    return DataReport(load_dataset(**settings, tell=tell), config)


def data_tables(report: DataReport) -> list[Any]:
    """Tables and texts for people: classes, steps, problems."""
    from rich.text import Text

    tables = [_class_table(report), _pairs(report.steps.items(), "what is done")]
    found = report.dataset.findings
    files = [(Text(name), Text(kind)) for kind, name in found.problems]
    if files:
        tables.append(_pairs(files[:SHOWN_PROBLEMS], "problems"))
    if len(files) > SHOWN_PROBLEMS:
        tables.append(Text(f"and {len(files) - SHOWN_PROBLEMS} more: --format json has all"))
    rest = [note for note in report.notes if note not in found.notes or not found.problems]
    return [*tables, *map(Text, rest)]


def _pairs(pairs: Iterable[tuple[Any, Any]], title: str):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=title, title_justify="left", show_header=False)
    for pair in pairs:
        table.add_row(*pair)
    return table


def _class_table(report: DataReport):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    data = report.dataset
    counts = np.stack([data.counts[part] for part in PARTS])
    table = Table(box=box.SIMPLE_HEAD, title=Text(data.name), title_justify="left")
    table.add_column("class")
    for heading in (*PARTS, "all"):
        table.add_column(heading, justify="right")
    for name, row in list(zip(data.class_names, counts.T, strict=True))[:SHOWN_CLASSES]:
        table.add_row(Text(name), *(f"{n:,}" for n in (*row, row.sum())))
    if data.classes > SHOWN_CLASSES:
        table.add_row(f"and {data.classes - SHOWN_CLASSES} more", *[""] * 4)
    table.add_section()
    sums = counts.sum(axis=1)
    table.add_row(f"{data.classes} classes", *(f"{n:,}" for n in (*sums, sums.sum())))
    return table
