"""Configuration from YAML and ``key=value``, with errors that name file and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xnas_tf.config.models import Config
from xnas_tf.errors import InputError, suggest
from xnas_tf.utils.options import problems

DEFAULT_FILE = Path("xnas.yaml")


def load_config(source: str | Path | Config | None = None, overrides: Iterable[str] = ()) -> Config:
    """Reads a configuration.

    Args:
        source: A YAML file; None takes ``./xnas.yaml``, else the quickstart (the defaults).
        overrides: Texts ``section.key=value``, the value in YAML.

    Raises:
        InputError: If the file is missing or anything in it is wrong.
    """
    if isinstance(source, Config):
        data, origin = source.model_dump(mode="json"), "configuration"
    else:
        path = find_config(source)
        data, origin = (_read_yaml(path), str(path)) if path else ({}, "quickstart")
    overrides = list(overrides)
    for text in overrides:
        _override(data, text)
    return checked_config(
        data, f"{origin} with --set {' --set '.join(overrides)}" if overrides else origin
    )


OF_EARLIER_VERSIONS: dict[str, dict[str, Any]] = {
    "introspectability": {"estimator": "plain", "missing_classes": "ignore", "min_images": 1},
    "disentanglement": {"false_alarms": 1.0},
}
"""Options of objectives whose default is not what was measured before there were these options."""


def stored_config(path: Path) -> Config:
    """Reads the configuration that a run or a retraining keeps.

    Options of objectives that an earlier version did not have get the value that comes nearest to
    what it measured, so that resuming with today's defaults is refused. The values are still not
    quite the same: other images were looked at, and disentanglement was not corrected for chance.

    Args:
        path: The file, with all keys of the version that wrote it.

    Raises:
        InputError: If the file is missing or anything in it is wrong.
    """
    data = _read_yaml(path)
    for section in ("objectives", "record"):
        if isinstance(entries := data.get(section), list):
            data[section] = [_as_then(entry) for entry in entries]
    distributed = data.get("distributed")
    if isinstance(distributed, dict) and distributed.get("ranks_per_candidate") in ("all", "auto"):
        del distributed["ranks_per_candidate"]  # as earlier versions called "not given"
    return checked_config(data, str(path))


def _as_then(entry: Any) -> Any:
    if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
        return entry  # whatever is wrong with it is said by the check
    return {**OF_EARLIER_VERSIONS.get(entry["name"], {}), **entry}


def checked_config(data: Mapping[str, Any], where: str) -> Config:
    """The configuration of sections that were read.

    Args:
        data: The sections; what is left out has its default.
        where: Where they are from, for messages.

    Raises:
        InputError: If anything in them is wrong.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InputError(
            "\n".join(f"{where}: {line}" for line in problems(error, Config))
        ) from error


def find_config(source: str | Path | None) -> Path | None:
    """The file that ``load_config`` reads; None for the quickstart."""
    if source is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    return Path(source)


def dump_config(config: Config) -> str:
    """The whole configuration as YAML, defaults included."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def differing_keys(old: Config, new: Config) -> list[str]:
    """Lines ``key: old value -> new value`` for every key that differs."""
    return differences(old.model_dump(mode="json"), new.model_dump(mode="json"), "->")


def differences(one: dict[str, Any], other: dict[str, Any], between: str) -> list[str]:
    """Lines ``key: one value BETWEEN other value`` for every key of nested data that differs."""
    before, after = _flatten(one), _flatten(other)
    return [
        f"{key}: {before.get(key)!r} {between} {after.get(key)!r}"
        for key in sorted(before | after)
        if before.get(key) != after.get(key)
    ]


def _flatten(value: Any, key: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        parts = ((f"{key}.{name}" if key else name, part) for name, part in value.items())
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        parts = ((f"{key}.{index}", part) for index, part in enumerate(value))
    else:
        return {key: value}
    return {
        name: leaf for part_key, part in parts for name, leaf in _flatten(part, part_key).items()
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        near = [str(p) for p in (*folder.glob("*.y*ml"), *Path("configs").glob("*.y*ml"))]
        raise InputError(f"there is no configuration file {suggest(str(path), near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"configuration file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data or {}, dict):
        raise InputError(f"{path}: the file holds a {type(data).__name__}, not sections")
    return data or {}


def _override(data: dict[str, Any], text: str) -> None:
    """Sets ``a.b=value`` in nested data; a number in the path is a place in a list."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text!r} is not of the form key=value")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text!r}: the value is not valid YAML: {error}") from error
    *path, last = key.split(".")
    place: Any = data
    for name in path:
        place = _step_into(place, name, text)
    if isinstance(place, list):
        place[_index(place, last, text)] = parsed
    else:
        place[last] = parsed


def _step_into(place: Any, name: str, text: str) -> Any:
    if isinstance(place, list):
        key: Any = _index(place, name, text)
        child = place[key]
    else:
        key, child = name, place.get(name)
    if child is None:
        child = _defaults().get(name, {})
    if isinstance(child, str):  # the short form of a section with a name
        child = {"name": child}
    if not isinstance(child, dict | list):
        raise InputError(f"--set {text!r}: {name!r} has no keys of its own")
    place[key] = child
    return child


def _defaults() -> dict[str, Any]:
    """Sections that an override may reach into although the file does not give them."""
    return Config().model_dump(mode="json", include={"space", "objectives"})


def _index(place: list, name: str, text: str) -> int:
    if not name.isdecimal() or int(name) >= len(place):
        raise InputError(f"--set {text!r}: {name!r} is no place in a list of {len(place)}")
    return int(name)
