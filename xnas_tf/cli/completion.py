"""Shell completion; see docs/get-started/installation.md. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from xnas_tf.candidate import CHOICES

if TYPE_CHECKING:
    from pydantic import BaseModel

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completion(names: Callable[[], Iterable[str]], or_file: bool = False) -> Complete:
    """Complete names, or any file name if ``or_file`` is set and no name matches."""

    def complete(_: click.Context, _parameter: click.Parameter, word: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(word)]
        return [CompletionItem(word, type="file"), *found] if or_file else found

    return complete


def _runs() -> list[str]:
    from xnas_tf.storage.run_directory import DATABASE

    return sorted(str(path.parent) for path in Path("runs").glob(f"*/{DATABASE}"))


def _datasets() -> list[str]:
    from xnas_tf.data import dataset_forms

    return ["".join(form.partition(":")[:2]) for form in dataset_forms()]


def _methods() -> list[str]:
    from xnas_tf.attribution import ATTRIBUTIONS

    return ["all", *ATTRIBUTIONS.names()]


def _configs() -> list[str]:
    from xnas_tf.config import packaged_configs

    return packaged_configs()


def _keys() -> Iterator[str]:
    from xnas_tf.config import Config

    return _keys_of(Config)


def _keys_of(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        if type(field.default) is field.annotation and hasattr(field.annotation, "model_fields"):
            yield from _keys_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


candidates = _completion(lambda: CHOICES)
runs = _completion(_runs, or_file=True)
datasets = _completion(_datasets, or_file=True)  # ``xnas-tf data`` accepts a configuration too
configs = _completion(_configs, or_file=True)
methods = _completion(_methods)
keys = _completion(_keys)
