"""Reports on a data set before a search: counts, preprocessing, problems and pictures."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Column, Table
from rich.text import Text

from xnas_tf.config import Config, load_config
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.image_list import SPLITS
from xnas_tf.data.quality import EXAMPLES
from xnas_tf.errors import InputError
from xnas_tf.reporting.contact_sheet import SHOWN_CLASSES, sheet_figure
from xnas_tf.storage.run import Run
from xnas_tf.utils.argument_types import LIST, check_types
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.markup import page_html, rich_html, short_repr
from xnas_tf.utils.pictures import save_png
from xnas_tf.utils.progress import log_message


@dataclass(frozen=True, repr=False)
class DataReport:
    """A data set, and how a search with a given configuration preprocesses it."""

    dataset: Dataset
    config: Config

    @property
    def steps(self) -> dict[str, str]:
        """The preprocessing steps by name, in the order in which they are applied."""
        return {
            "size": self._size(),
            "channels": self._channels(),
            "split": self._split(),
            "normalisation": self.dataset.scaling.rule,
            "augmentation": self._augmentation(),
        }

    @property
    def notes(self) -> list[str]:
        """Notes for the user; if a search would reject the data set, the reason comes first."""
        unreadable, limit = len(self.dataset.findings.unreadable), self.config.dataset.max_corrupt
        share = unreadable / (unreadable + sum(map(len, self.dataset.parts.values())))
        if share <= limit:
            return self.dataset.notes
        refused = f"{share:.0%} of it is unreadable; dataset.max_corrupt is {limit:.0%}"
        return [f"a search rejects this data set: {refused}", *self.dataset.notes]

    def as_dict(self) -> dict[str, Any]:
        """Return all results as JSON-serialisable values."""
        counts = np.stack([self.dataset.counts[split] for split in SPLITS], axis=1).tolist()
        rows = zip(self.dataset.class_names, counts, strict=True)
        return {
            "dataset": self.dataset.name,
            **self.dataset.facts,
            "classes": {name: dict(zip(SPLITS, row, strict=True)) for name, row in rows},
            "imbalance": round(self.dataset.imbalance, 3),
            "steps": self.steps,
            "problems": asdict(self.dataset.findings),
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        data = self.dataset
        images = sum(map(len, data.parts.values()))
        return short_repr(self, dataset=data.name, classes=data.classes, images=images)

    def _repr_html_(self) -> str:
        shown = data_tables(self)
        tables = [rich_html(each) for each in shown if isinstance(each, Table)]
        notes = [each.plain for each in shown if isinstance(each, Text)]
        return page_html(f"Data set {self.dataset.name}", {}, *tables, notes=notes)

    def save_sheet(self, out: str | Path) -> None:
        """Save a PNG file with some images of each class.

        Raises:
            InputError: If the file cannot be written.
            RunError: If the disk is full.
        """
        save_png(sheet_figure(self.dataset), Path(out), "`out`", dpi=110)

    def _size(self) -> str:
        height, width, _ = self.dataset.image_shape
        size = f"{size_text(height, width)} pixels (height x width)"
        findings = self.dataset.findings
        if not findings.sizes:
            return size
        texts = {kind: size_text(*each) for kind, each in findings.sizes.items()}
        default = "the usual size; set dataset.size to change it"
        source = "as given" if self.config.dataset.size else default
        original = f"all {texts['median']}"
        if (count := findings.different_sizes) > 1:
            original = f"{texts['smallest']} to {texts['largest']}, {count} sizes"
        elif tuple(findings.sizes["median"]) == (height, width):
            return f"{size}, as in all files"
        return f"{original}; stretched to {size}, {source}"

    def _channels(self) -> str:
        depth = self.dataset.image_shape[2]
        grey = len(self.dataset.findings.grey)
        kind = {1: "1 (grey)", 3: "3 (red, green, blue)"}.get(depth, str(depth))
        return f"{kind}; {grey} grey images are converted to three equal channels" if grey else kind

    def _split(self) -> str:
        sizes = {name: len(split) for name, split in self.dataset.parts.items()}
        total = sum(sizes.values())
        shares = ", ".join(f"{name} {n:,} ({n / total:.0%})" for name, n in sizes.items())
        return f"{shares}; {self.dataset.how_split}; seed {self.config.dataset.seed}"

    def _augmentation(self) -> str:
        options = self.config.training.augmentation
        flips = options.flips(self.dataset.mirrored)
        steps = {
            f"random crop after {options.crop} pixels of padding": options.crop,
            "random horizontal flips": flips,
            f"a square of {options.cutout} pixels blanked out": options.cutout,
        }
        text = ", ".join(step for step, is_used in steps.items() if is_used) or "none"
        may_flip = options.flip == "auto" and self.dataset.bug is None
        if may_flip and self.dataset.findings.sizes and not flips:
            text += "; training.augmentation.flip: true if mirror images have the same class"
        return text


@check_types(overrides=LIST)
def inspect_data(
    dataset: str | Path | Config | Run,
    overrides: Iterable[str] = (),
    log: Callable[[str], None] = log_message,
) -> DataReport:
    """Load a data set as a search would, and report on it.

    Args:
        dataset: The name of a data set, a YAML configuration file, a configuration, or a run.
        overrides: Options as ``section.key=value``.
        log: Called with a message before a step that takes a while.

    Raises:
        InputError: If the data set does not exist, or is not suitable for classification.
    """
    dataset = dataset.config if isinstance(dataset, Run) else dataset
    if not isinstance(dataset, str | os.PathLike | Config):
        given = type(dataset).__name__
        raise InputError(
            f"`dataset` is of type {given}; allowed: a name, a path, a Config or a Run"
        )
    if not isinstance(dataset, Config) and Path(dataset).suffix not in (".yaml", ".yml"):
        dataset = Config(dataset=str(dataset))
    config = load_config(dataset, overrides)
    # Report corrupt files, even if there are too many of them for a search.
    settings = {**config.dataset.model_dump(), "max_corrupt": 1.0}
    return DataReport(load_dataset(**settings, log=log), config)


def data_tables(report: DataReport) -> list[Table | Text]:
    """Return the report as tables and texts: classes, steps, problems and notes."""
    tables = [_class_table(report), _pair_table(report.steps.items(), "preprocessing")]
    findings = report.dataset.findings
    texts = [note for note in report.notes if note not in findings.problem_notes]
    if findings.examples:
        tables.append(_pair_table(findings.examples.items(), "problems"))
    if any(len(names) > EXAMPLES for names in findings.problems.values()):
        name = shlex.quote(report.dataset.name)
        command = f"xnas-tf data {name} --format json"
        texts.insert(0, f"{command} (in Python: report.as_dict()) names all of these files")
    return [*tables, *map(Text, texts)]


def _pair_table(pairs: Iterable[tuple[str, str]], title: str) -> Table:
    table = Table(box=box.SIMPLE, title=title, title_justify="left", show_header=False)
    for pair in pairs:
        table.add_row(*map(Text, pair))  # names may look like markup of rich
    return table


def _class_table(report: DataReport) -> Table:
    data = report.dataset
    counts = np.stack([data.counts[split] for split in SPLITS])
    headings = [Column("class"), *(Column(each, justify="right") for each in (*SPLITS, "all"))]
    table = Table(*headings, box=box.SIMPLE_HEAD, title=Text(data.name), title_justify="left")
    for name, row in list(zip(data.class_names, counts.T, strict=True))[:SHOWN_CLASSES]:
        table.add_row(Text(name), *(f"{n:,}" for n in (*row, row.sum())))
    if data.classes > SHOWN_CLASSES:
        table.add_row(f"and {data.classes - SHOWN_CLASSES} more", *[""] * 4)
    table.add_section()
    sums = counts.sum(axis=1)
    table.add_row(f"{data.classes} classes", *(f"{n:,}" for n in (*sums, sums.sum())))
    return table
