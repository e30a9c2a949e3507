"""Generates the configuration reference from the configuration models.

python -m xnas_tf.config.reference > docs/reference/configuration.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from xnas_tf.config.callbacks import CALLBACKS
from xnas_tf.config.models import Config
from xnas_tf.data.options import AugmentationOptions, BugOptions, DatasetOptions
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.spaces import SPACES
from xnas_tf.strategy.options import FidelityOptions, SearchOptions
from xnas_tf.training.options import TrainingOptions

_INTRO = """# Configuration

This page lists every key of a configuration, with its type, its default and its meaning.

A configuration is a YAML file with the sections below. Every key has a default, and together
the defaults define the quickstart. Unknown keys are errors.

- `--set section.key=value` overrides a key on the command line. A number in a key is an index into
  a list: `--set objectives.1.images=512`.
- A section that needs no options can be written as a name: `dataset: digits`.
- Objectives, search spaces, data sets and callbacks can also be given as `package.module:Name`.
  Other packages can register names in the `xnas_tf.objectives`, `xnas_tf.spaces`,
  `xnas_tf.datasets` and `xnas_tf.callbacks` entry-point groups.

`python -m xnas_tf.config.reference` generates this page."""
_BOUNDS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def reference() -> str:
    """Return the whole reference as Markdown."""
    return "\n\n".join([_INTRO, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    yield _model_section("## `dataset`", DatasetOptions)
    yield _model_section("### `dataset.bug`", BugOptions)
    yield _model_section("## `training`", TrainingOptions)
    yield _model_section("### `training.augmentation`", AugmentationOptions)
    yield _model_section("## `search`", SearchOptions)
    yield _model_section("### `search.fidelity`", FidelityOptions)
    yield _model_section("## `distributed`", DistributedOptions)
    yield "## `space`\n\nThe search space: a name, or a name with options."
    for name in SPACES.names():
        yield _model_section(f"### `{name}`", SPACES.get(name))
    yield "## `objectives`\n\nA list of one to five objectives, each a name or a name with options."
    for name in OBJECTIVES.names():
        yield _model_section(f"### `{name}`", OBJECTIVES.get(name))
    about = {name: field.description for name, field in Config.model_fields.items()}
    yield f"## `record`\n\nA list of {about['record']}, such as `[introspectability]`."
    yield f"## `record_at`\n\nA mapping that lists {about['record_at']}."
    yield f"## `test`\n\n`front` (the default) or `all`: {about['test']}."
    yield (
        f"## `constraints`\n\nA mapping of {about['constraints']}. A candidate that violates a "
        "limit on a value known before training is infeasible and is not trained. A candidate that "
        "violates any other limit is never on the front."
    )
    names = ", ".join(f"`{name}`" for name in CALLBACKS.names())
    yield (
        f"## `callbacks`\n\nA list of {about['callbacks']}: {names}, or `module:Name` for your own "
        "(see docs/how-to/callbacks.md). Callbacks are not stored with the run, "
        "so you can change them when you resume it."
    )


def _model_section(heading: str, model: type[BaseModel]) -> str:
    rows = [_row(name, field) for name, field in model.model_fields.items() if name != "name"]
    if "name" in model.model_fields and not get_args(model.model_fields["name"].annotation):
        rows.insert(0, _row("name", model.model_fields["name"]))
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([heading, "", inspect.cleandoc(model.__doc__ or ""), "", *table]).rstrip()


def _row(name: str, field: FieldInfo) -> str:
    kind = _type_name(field.annotation).replace("|", "\\|")
    bounds = ", ".join(filter(None, map(_bound, field.metadata)))
    if isinstance(field.default, BaseModel):
        kind, default = "section", ""
    else:
        default = "" if field.is_required() else f"`{_yaml(field.get_default())}`"
    meaning = field.description or ""
    kind = f"{kind}, {bounds}" if bounds else kind
    return f"| `{name}` | {kind} | {default} | {meaning} |"


def _bound(constraint: Any) -> str:
    if type(constraint) not in _BOUNDS:
        return ""
    sign, attribute = _BOUNDS[type(constraint)]
    return f"{sign} {getattr(constraint, attribute)}"


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if not arguments:
        return "none" if annotation is type(None) else getattr(annotation, "__name__", "")
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " | ".join(f"`{argument}`" for argument in arguments)
    if origin is dict:
        key, value = map(_type_name, arguments)
        return f"mapping of {key} to {value}"
    if origin in (list, tuple):
        return f"list of {_type_name(arguments[0])}"
    return " | ".join(map(_type_name, arguments))


def _yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n...\n").strip()


if __name__ == "__main__":
    print(reference(), end="")
