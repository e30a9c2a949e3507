"""Writes the metadata that the Hugging Face Hub reads at the top of a model card.

The fields are described at https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from xnas_tf.exporting.card import NOT_STATED

_DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}
"""Ids of data sets on the Hub, by their name in ``keras:NAME`` and ``tfds:NAME``."""
_LIBRARIES = ("keras", "tflite", "onnx")
_LICENCES = frozenset(
    "apache-2.0 mit afl-3.0 artistic-2.0 bsl-1.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear "
    "cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 "
    "cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gpl-2.0 "
    "gpl-3.0 lgpl-2.1 lgpl-3.0 isc ms-pl mpl-2.0 odc-by odbl osl-3.0 postgresql ncsa unlicense "
    "zlib pddl openrail".split()
)
"""Ids of the licences that the Hub accepts."""


def hub_header(card: dict[str, Any]) -> str:
    """Return the YAML header, enclosed in ``---`` lines, for the result of ``model_card``.

    The header contains only known facts: it has no licence unless one was stated, no data set
    unless it is on the Hub, and no results without a test split.
    """
    formats = [file["format"] for file in card["files"]]
    dataset = _hub_dataset(card["dataset"]["name"])
    metadata: dict[str, Any] = _licence(card["licence"])
    metadata["library_name"] = next((name for name in _LIBRARIES if name in formats), None)
    metadata["pipeline_tag"] = "image-classification"
    metadata["tags"] = ["image-classification", "neural-architecture-search", "xnas-tf", *formats]
    metadata["datasets"] = [dataset] if dataset else None
    if card["test"]:
        metadata["metrics"] = ["accuracy"]
        metadata["model-index"] = [{"name": card["name"], "results": [_result(card, dataset)]}]
    known = {key: value for key, value in metadata.items() if value is not None}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---\n\n"


def _licence(stated: str) -> dict[str, Any]:
    if stated == NOT_STATED:
        return {}
    identifier = re.sub(r"\s+", "-", stated.strip().lower())
    identifier = re.sub(r"-(only|or-later)$", "", identifier)
    if identifier in _LICENCES:
        return {"license": identifier}
    return {"license": "other", "license_name": " ".join(stated.split())}


def _hub_dataset(name: str) -> str | None:
    kind, _, argument = ("keras:mnist" if name == "mnist5k" else name).partition(":")
    return _DATASETS.get(argument) if kind in ("keras", "tfds") else None


def _result(card: dict[str, Any], dataset: str | None) -> dict[str, Any]:
    name = " ".join(card["dataset"]["name"].split())  # a line `---` would end the header
    _, accuracy, _ = card["test"]["accuracy"]
    return {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": {"type": dataset or name.partition(":")[0], "name": name, "split": "test"},
        "metrics": [{"type": "accuracy", "value": accuracy, "name": "Test accuracy"}],
    }
