"""The base class of the configuration's sections, and error messages that name the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import Registry


class Section(BaseModel):
    """A section of the configuration. Unknown keys are errors; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def create(registry: Registry, entry: Any, base: type[BaseModel]) -> Any:
    """Create an objective or a search space from its entry in the configuration.

    The entry is a name, a mapping with a name and options, or an instance of ``base``, the class
    of all implementations.

    Raises:
        PydanticCustomError: If the entry is invalid.
    """
    if isinstance(entry, base):
        return entry
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise PydanticCustomError("entry", f"given {entry!r}; allowed: a name, or name and options")
    try:
        name = entry.get("name", "hypermodel" if "hypermodel" in entry else None)
        if not isinstance(name, str):
            known = ", ".join(registry.names())
            raise PydanticCustomError(
                "entry", f"given {entry!r}, without a name; allowed names: {known}"
            )
        cls = registry.get(name)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            target = f"{base.__module__}.{base.__name__}"
            raise InputError(f"{registry.kind} {name!r} is not a subclass of {target}")
        return cls.model_validate({**entry, "name": name})
    except InputError as error:
        raise PydanticCustomError("entry", "{text}", {"text": str(error)}) from error
    except ValidationError as error:
        context = {"errors": error.errors(), "model": cls}
        raise PydanticCustomError("nested", "{errors}", context) from error


def problems(error: ValidationError, model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """Yield one line per error, with the prefixed key, the given value and the allowed values."""
    for item in error.errors():
        yield from _explain(item, model, prefix)


def _explain(item: ErrorDetails, model: type[BaseModel], prefix: str) -> Iterable[str]:
    key = prefix + ".".join(map(str, item["loc"]))
    if item["type"] == "nested":
        for inner in item["ctx"]["errors"]:
            yield from _explain(inner, item["ctx"]["model"], f"{key}.")
    elif item["type"] == "extra_forbidden":
        *parents, name = map(str, item["loc"])
        yield f"unknown key {key}: {_suggested_key(model, parents, name)}"
    elif item["type"] == "literal_error":
        allowed = re.findall("'([^']*)'", item["ctx"]["expected"])
        yield f"{key}: given {suggest(item['input'], allowed)}"
    elif item["type"] in ("entry", "value_error"):
        yield f"{key}: {item['msg'].removeprefix('Value error, ')}"
    else:
        yield f"{key}: given {item['input']!r}; {item['msg'][0].lower()}{item['msg'][1:]}"


def _suggested_key(model: type[BaseModel], parents: Sequence[str], name: str) -> str:
    """Describe a wrong key, and mention keys of the same name in other sections."""
    own = _section(model, parents).model_fields
    elsewhere = [
        f"{section}.{name}"
        for section in model.model_fields
        if name in getattr(_section(model, [section]), "model_fields", {})
    ]
    if not elsewhere or [*parents, name] == elsewhere[0].split("."):
        return suggest(name, own)
    return (
        f"{name!r} (did you mean {' or '.join(elsewhere)}? allowed here: {', '.join(sorted(own))})"
    )


def _section(model: type[BaseModel], location: Iterable[str]) -> type[BaseModel]:
    """Return the innermost model on the path to a key."""
    for name in location:
        annotation = model.model_fields[name].annotation
        kinds = [annotation, *get_args(annotation)]  # a section may be optional
        found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            break
        model = found[0]
    return model
