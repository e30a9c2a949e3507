"""Creates the callbacks of a configuration, given their names and options."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic_core import PydanticCustomError

from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import Registry, describe

CALLBACKS = Registry(
    "callback",
    "xnas_tf.callbacks",
    {
        "mlflow": "xnas_tf.reporting.trackers.mlflow_tracker:MLflow",
        "wandb": "xnas_tf.reporting.trackers.wandb_tracker:WeightsAndBiases",
    },
)


def create_callback(entry: Any) -> Any:
    """Create a callback from a name, a mapping with a name and arguments, or a callback.

    Raises:
        PydanticCustomError: If the callback does not exist or cannot be created.
    """
    if not isinstance(entry, str | dict):
        return entry  # the search checks it
    name, options = (entry, {}) if isinstance(entry, str) else (entry.get("name"), {**entry})
    options.pop("name", None)
    try:
        if not isinstance(name, str):
            raise InputError(f"no name given: {entry!r}")
        return _called(CALLBACKS.get(name), name, options)
    except InputError as error:
        raise PydanticCustomError("entry", "{text}", {"text": str(error)}) from error


def _called(create: Any, name: str, options: dict[str, Any]) -> Any:
    if not callable(create):
        raise InputError(f"callback {name!r} is not a class")
    allowed = inspect.signature(create).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in allowed.values())
    for key in options:
        if key not in allowed and not takes_any:
            raise InputError(f"callback {name!r} has no option {suggest(key, allowed)}")
    try:
        return create(**options)
    except InputError:
        raise
    except Exception as error:  # the user's constructor may raise any exception
        raise InputError(f"callback {name!r}: {describe(error)}") from error
