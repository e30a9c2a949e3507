"""What sections of the configuration have in common: their base, and errors that name the key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import Registry


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def create(registry: Registry, entry: Any, base: type) -> Any:
    """Makes an objective or space from a name or a mapping with a name."""
    if isinstance(entry, base):
        return entry
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise PydanticCustomError("entry", f"given {entry!r}; allowed: a name, or name and options")
    try:
        name = entry.get("name", "hypermodel" if "hypermodel" in entry else None)
        if not isinstance(name, str):
            raise PydanticCustomError("entry", f"no name is given: {entry!r}")
        cls = registry.get(name)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise InputError(f"{registry.kind} {name!r} is no {base.__module__}.{base.__name__}")
        return cls.model_validate({**entry, "name": name})
    except InputError as error:
        raise PydanticCustomError("entry", "{text}", {"text": str(error)}) from error
    except ValidationError as error:
        raise PydanticCustomError(
            "nested", "{errors}", {"errors": error.errors(), "model": cls}
        ) from error


def problems(error: ValidationError, model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """What is wrong with values for a model, one line an error: key, given, allowed."""
    for item in error.errors():
        yield from _explain_item(item, model, prefix)


def _explain_item(item: dict[str, Any], model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """One line an error: the key, what was given and what is allowed."""
    key = prefix + ".".join(map(str, item["loc"]))
    if item["type"] == "nested":
        for inner in item["ctx"]["errors"]:
            yield from _explain_item(inner, item["ctx"]["model"], f"{key}.")
    elif item["type"] == "extra_forbidden":
        fields = _section(model, item["loc"][:-1]).model_fields
        yield f"unknown key {key}: {suggest(item['loc'][-1], fields)}"
    elif item["type"] == "literal_error":
        allowed = re.findall("'([^']*)'", item["ctx"]["expected"])
        yield f"{key}: given {suggest(item['input'], allowed)}"
    elif item["type"] in ("entry", "value_error"):
        yield f"{key}: {item['msg'].removeprefix('Value error, ')}"
    else:
        yield f"{key}: given {item['input']!r}; {item['msg'][0].lower()}{item['msg'][1:]}"


def _section(model: type[BaseModel], location: tuple) -> type[BaseModel]:
    for name in location:
        annotation = model.model_fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return model
