"""The formats in which a model can be exported, by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from xnas_tf.errors import InputError
from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.registry import Registry

FORMATS = Registry(
    "export format",
    "xnas_tf.export_formats",
    {
        "saved_model": "xnas_tf.exporting.formats.builtin:SavedModel",
        "keras": "xnas_tf.exporting.formats.builtin:KerasFile",
        "tflite": "xnas_tf.exporting.formats.builtin:TFLite",
        "tflite_float16": "xnas_tf.exporting.formats.builtin:TFLiteFloat16",
        "tflite_int8": "xnas_tf.exporting.formats.builtin:TFLiteInt8",
        "onnx": "xnas_tf.exporting.formats.builtin:Onnx",
    },
)
DEFAULT_FORMATS = ("saved_model", "keras")


def chosen_formats(names: Sequence[str]) -> list[ExportFormat]:
    """Return the formats with these names, without duplicates.

    Raises:
        InputError: If no name is given, a name is unknown, or a converter is not installed.
    """
    chosen = []
    for name in dict.fromkeys(names):
        kind = FORMATS.get(name)
        if not (isinstance(kind, type) and issubclass(kind, ExportFormat)):
            raise InputError(f"{name!r} is not an xnas_tf.exporting.formats.base.ExportFormat")
        if missing := [module for module in kind.modules if find_spec(module) is None]:
            raise InputError(
                f"format {name}: {' and '.join(missing)} not installed: pip install '{kind.extra}'"
            )
        chosen.append(kind())
    if not chosen:
        raise InputError("no format given for the export")
    return chosen
