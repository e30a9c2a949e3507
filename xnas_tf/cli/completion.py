"""Shell completion; see docs/completion.md. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pydantic import BaseModel

RUNS = Path("runs")
"""Default parent directory of runs."""


def runs(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete run directories, or any file if none matches."""
    from xnas_tf.storage.run_directory import DATABASE

    paths = sorted(str(path.parent) for path in RUNS.glob(f"*/{DATABASE}"))
    return [CompletionItem(incomplete, type="file"), *_matches(incomplete, paths)]


def datasets(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names of data sets, or any file (``xnas-tf data`` takes a configuration)."""
    from xnas_tf.data import dataset_forms

    names = [name + colon for name, colon, _ in (form.partition(":") for form in dataset_forms())]
    return [CompletionItem(incomplete, type="file"), *_matches(incomplete, names)]


def methods(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete attribution methods."""
    from xnas_tf.attribution import ATTRIBUTIONS

    return _matches(incomplete, ["all", *ATTRIBUTIONS.names()])


def keys(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete keys of the configuration."""
    from xnas_tf.config import Config

    return _matches(incomplete, _keys(Config))


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        if type(field.default) is field.annotation and hasattr(field.annotation, "model_fields"):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _matches(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
