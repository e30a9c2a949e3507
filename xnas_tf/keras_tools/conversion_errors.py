"""Explains a converter's messages in terms of the model's layers."""

from __future__ import annotations

import re
from collections.abc import Collection

_LOCATION = re.compile(r'error: loc\((?:callsite\()?fused\["(\w+):", "([^"@]*)')
"""Matches an operation that TensorFlow Lite cannot convert, and its name in the graph."""
_LISTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def refused_operations(text: str, model: str, layers: Collection[str]) -> str:
    """Return the operations that TensorFlow Lite cannot convert, and the layers that need them.

    Args:
        text: The converter's message.
        model: The model's name.
        layers: The names of the model's layers, including nested ones.

    Returns:
        Text such as ``TensorListReserve (layer bidirectional/forward_lstm)``, or an empty string if
        the message names no operation.
    """
    found = {}
    for operation, path in _LOCATION.findall(text):
        scopes = path.split("/")
        if model not in scopes:  # traced again, which numbers all scopes
            scopes = [re.sub(r"_\d+$", "", scope) for scope in scopes]
        layer = "/".join(scope for scope in scopes if scope in layers)
        found[operation, layer] = f"{operation} (layer {layer})" if layer else operation
    return ", ".join(found.values()) or ", ".join(_LISTED.findall(text))
