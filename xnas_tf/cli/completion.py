"""What the shell fills in when Tab is pressed: docs/completion.md. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from click.shell_completion import CompletionItem

RUNS = Path("runs")
"""Where searches write unless told otherwise."""


def runs(_context: Any, _parameter: Any, incomplete: str) -> list[CompletionItem]:
    """Run directories, or any file where none fits."""
    from xnas_tf.storage.run import RECORD

    found = sorted(str(path.parent) for path in RUNS.glob(f"*/{RECORD}"))
    return [CompletionItem(incomplete, type="file"), *_beginning(incomplete, found)]


def datasets(_context: Any, _parameter: Any, incomplete: str) -> list[CompletionItem]:
    """Names of data sets, or any file (``xnas-tf data`` takes a configuration)."""
    from xnas_tf.data import dataset_forms

    names = [name + colon for name, colon, _ in (form.partition(":") for form in dataset_forms())]
    return [CompletionItem(incomplete, type="file"), *_beginning(incomplete, names)]


def methods(_context: Any, _parameter: Any, incomplete: str) -> list[CompletionItem]:
    """Attribution methods."""
    from xnas_tf.attribution import ATTRIBUTIONS

    return _beginning(incomplete, ["all", *ATTRIBUTIONS.names()])


def keys(_context: Any, _parameter: Any, incomplete: str) -> list[CompletionItem]:
    """Keys of the configuration."""
    from xnas_tf.config import Config

    return _beginning(incomplete, _keys(Config))


def _keys(section: Any, prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        if inner and isinstance(field.default, field.annotation):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
