"""Load the configuration from YAML and overrides, with errors that name the file and the key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from xnas_tf.config.models import Config
from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import import_nothing_from, installed_folder
from xnas_tf.training.options import RATES
from xnas_tf.utils.argument_types import LIST, check_types

DEFAULT_FILE = Path("xnas.yaml")
ALLOWED = 'a path, or a Config such as Config(dataset="digits", training={"epochs": 3})'
"""What ``config`` may be."""


@check_types(overrides=LIST)
def load_config(source: str | Path | Config | None = None, overrides: Iterable[str] = ()) -> Config:
    """Load a configuration.

    Args:
        source: A YAML file, the name of a packaged configuration such as ``quickstart``, or a
            configuration to override. If None, ``./xnas.yaml`` is loaded if it exists, and
            otherwise the quickstart, which consists of the defaults.
        overrides: Overrides as ``section.key=value``, with values in YAML.

    Raises:
        InputError: If the file is missing or invalid, or an override is invalid.
    """
    if isinstance(source, Config):
        data, origin = _given(source), "configuration"
    else:
        path = find_config(source)
        data, origin = (_read_yaml(path), str(path)) if path else ({}, "quickstart")
    overrides = list(overrides)
    for text in overrides:
        _override(data, text)
    given = ", ".join(f"`overrides` {text}" for text in overrides)
    where = f"{origin} with {given}" if overrides else origin
    return validate_config(data, where)


def _given(config: Config) -> dict[str, Any]:
    """Return the sections of a configuration, without defaults that follow from other keys."""
    data = {**config.model_dump(mode="json"), "callbacks": config.callbacks}
    data["search"] = config.search.model_dump(mode="json", exclude_unset=True)
    training = data["training"]
    if training["learning_rate"] == RATES[training["optimizer"]]:
        del training["learning_rate"]
    if training["optimizer"] == config.space.optimizer:
        del training["optimizer"]
    return data


_EARLIER_DEFAULTS: dict[str, dict[str, Any]] = {
    "introspectability": {"estimator": "plain", "missing_classes": "ignore", "min_images": 1},
    "disentanglement": {"false_alarms": 1.0},
}
"""Objective options whose defaults differ from the behaviour of versions without them."""
_DROPPED_ALGORITHMS = ("nsga3", "moead", "spea2", "eps_moea")
"""Values of ``search.algorithm`` that exist only in runs of earlier versions."""


def load_stored_config(path: Path, modes: Mapping[str, bool] = MappingProxyType({})) -> Config:
    """Load the configuration stored with a run or a retraining.

    An objective's option that the version lacked is set to the value closest to that version's
    behaviour, so an old run is never resumed with today's defaults. The results still differ
    slightly: that version used different images and did not correct disentanglement for chance.

    The name of a search algorithm that no longer exists is kept: the run can still be read, but it
    cannot be resumed.

    Search callbacks are left out. No run stores any, and creating them calls whatever they name,
    although the run may come from somebody else. For the same reason, no module in the folder of
    the run is imported, neither here nor later.

    ``modes`` are values that an earlier version chose for ``training`` keys set to ``auto``.
    """
    import_nothing_from(path.parent)
    for run in path.resolve().parents[2:3]:  # a retraining is in its run's folder
        if (run / "run.sqlite").is_file():
            import_nothing_from(run)
    data = _read_yaml(path)
    data.pop("callbacks", None)
    for entries in (data.get("objectives"), data.get("record")):
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                earlier = _EARLIER_DEFAULTS.get(str(entry.get("name")), {})
                entry.update({**earlier, **entry})
    distributed = data.get("distributed")
    if isinstance(distributed, dict) and distributed.get("ranks_per_candidate") in ("all", "auto"):
        del distributed["ranks_per_candidate"]  # earlier versions stored this if it was not given
    if isinstance(training := data.get("training"), dict):
        for mode in ("mixed_precision", "jit_compile"):
            if training.get(mode) == "auto":
                training[mode] = modes.get(mode, False)
    search = data.get("search")
    if not (isinstance(search, dict) and search.get("algorithm") in _DROPPED_ALGORITHMS):
        return validate_config(data, str(path))
    dropped = {"algorithm": search.pop("algorithm")}
    config = validate_config(data, str(path))
    return config.model_copy(update={"search": config.search.model_copy(update=dropped)})


def validate_config(data: Mapping[str, Any], where: str) -> Config:
    """Validate the sections of a configuration; missing keys get their defaults.

    The lines of an ``InputError`` start with ``where``.
    """
    try:
        return Config(**{str(name): section for name, section in data.items()})
    except InputError as error:
        lines = [f"{where}: {line}" for line in str(error).splitlines()]
        raise InputError("\n".join(lines)) from error


def find_config(source: str | Path | None) -> Path | None:
    """Return the file that ``load_config`` reads; None for the quickstart.

    A packaged configuration is used for ``NAME`` or ``configs/NAME.yaml`` if there is no such file.
    """
    if source is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"`config` is of type {type(source).__name__}; allowed: {ALLOWED}")
    path = Path(source)
    names = {each for name in packaged_configs() for each in (name, f"configs/{name}.yaml")}
    if path.is_file() or str(path) not in names:
        return path
    return installed_folder("configs") / f"{path.stem}.yaml"


def default_note() -> str:
    """Return a note that the quickstart is used by default; empty if ``./xnas.yaml`` is.

    It is a warning if the current folder contains other configurations.
    """
    if DEFAULT_FILE.is_file():
        return ""
    note = f"there is no {DEFAULT_FILE} here, so this is the quickstart, on handwritten digits"
    files = [str(path) for path in sorted(Path().glob("*.y*ml")) if _is_config(path)]
    if not files:
        return note
    return f"warning: {note}. To use a configuration of this folder, name it: {', '.join(files)}"


def _is_config(path: Path) -> bool:
    """Return whether all keys in a YAML file are sections of a configuration."""
    try:
        sections = _read_yaml(path)
    except InputError:
        return False
    return bool(sections) and sections.keys() <= Config.model_fields.keys()


def packaged_configs() -> list[str]:
    """Return the names of the configurations that are part of xnas-tf, sorted."""
    return sorted(path.stem for path in installed_folder("configs").glob("*.yaml"))


def dump_config(config: Config) -> str:
    """Return the whole configuration as YAML, including defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def differing_keys(old: Config, new: Config) -> list[str]:
    """Return a line ``key: old value -> new value`` for each key that differs."""
    # Without warnings, because an old run may have an algorithm that no longer exists.
    before = old.model_dump(mode="json", warnings=False)
    return differences(before, new.model_dump(mode="json"), "->")


def differences(one: dict[str, Any], other: dict[str, Any], between: str) -> list[str]:
    """Return ``key: one value BETWEEN other value`` for each differing key of nested data."""
    before, after = flattened(one), flattened(other)
    return [
        f"{key}: {before.get(key)!r} {between} {after.get(key)!r}"
        for key in sorted(before | after)
        if before.get(key) != after.get(key)
    ]


def flattened(value: Any, key: str = "") -> dict[str, Any]:
    """Return nested data as a mapping with dotted keys; lists of plain values stay whole."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if not (isinstance(value, dict) and value):
        return {key: value}
    return {
        path: leaf
        for name, item in value.items()
        for path, leaf in flattened(item, f"{key}.{name}" if key else name).items()
    }


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would silently ignore a key that is given again below."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; raise a ``MarkedYAMLError`` if a key is given twice."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if line := lines.get(key.value):
                    problem = f"{key.value!r} is already given in line {line}"
                    raise MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                lines[key.value] = key.start_mark.line + 1
        return node


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        files = (*folder.glob("*.y*ml"), *Path("configs").glob("*.y*ml"))
        near = [*map(str, files), *packaged_configs()]
        raise InputError(f"there is no configuration file {suggest(str(path), near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"configuration file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # such as a date with month 13
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data or {}, dict):
        kind = type(data).__name__
        raise InputError(f"{path}: the file contains a {kind}, not a mapping of sections")
    return data or {}


def _override(data: dict[str, Any], text: str) -> None:
    """Set ``a.b=value`` in nested data; a number in the key is a list index."""
    if not isinstance(text, str):
        raise InputError(
            f"`overrides`: one item is of type {type(text).__name__}; allowed: strings of the "
            "form section.key=value"
        )
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"`overrides` {text!r} is not of the form key=value")
    try:
        parsed = _Loader(value).get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"`overrides` {text!r}: the value is not valid YAML: {error}") from error
    *path, last = key.split(".")
    parent: Any = data
    for name in path:
        parent = _child(parent, name, text)
    parent[_key(parent, last, text)] = parsed


def _child(parent: Any, name: str, text: str) -> Any:
    """Return the mapping or list under a name, expanding or adding it if necessary."""
    key = _key(parent, name, text)
    child = parent[key] if isinstance(parent, list) else parent.get(key)
    if child is None:
        # The options of the default space are left out: another space has different ones.
        fields = Config.model_fields
        child = copy(fields[name].default) if name in ("space", "objectives") else {}
    if isinstance(child, str):  # short form of a section with a name
        child = {"name": child}
    if not isinstance(child, dict | list):
        raise InputError(f"`overrides` {text!r}: {name!r} has no keys of its own")
    parent[key] = child
    return child


def _key(parent: Any, name: str, text: str) -> Any:
    """Return the mapping key or list index that ``name`` stands for."""
    if not isinstance(parent, list):
        # The keys of `record_at` are numbers.
        return int(name) if name.isdecimal() and int(name) in parent else name
    count = len(parent)
    if not name.isdecimal() or int(name) >= count:
        raise InputError(f"`overrides` {text!r}: {name!r} is not a list index below {count}")
    return int(name)
