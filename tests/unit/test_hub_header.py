"""The header of a model card: YAML with the fields that the Hugging Face Hub documents."""

import pytest
import yaml

from xnas_tf.exporting.card import NOT_STATED
from xnas_tf.exporting.hub_header import hub_header

FIELDS = {
    "license": str,
    "license_name": str,
    "library_name": str,
    "pipeline_tag": str,
    "tags": list,
    "datasets": list,
    "metrics": list,
    "model-index": list,
}
"""Those of https://github.com/huggingface/hub-docs/blob/main/modelcard.md that we fill."""
TEST = {"accuracy": [0.9, 0.95, 0.97], "images": 100}


def header(dataset="digits", licence=NOT_STATED, test=TEST, formats=("saved_model", "keras")):
    card = {
        "name": "candidate-00007",
        "dataset": {"name": dataset},
        "licence": licence,
        "test": test,
        "files": [{"format": name} for name in formats],
    }
    start, text, rest = hub_header(card).split("---\n")
    assert start == "" and rest == "\n"
    found = yaml.safe_load(text)
    assert all(isinstance(value, FIELDS[key]) for key, value in found.items())
    return found


def test_it_has_what_the_hub_needs_to_find_and_load_the_model():
    found = header()
    assert found["library_name"] == "keras" and found["pipeline_tag"] == "image-classification"
    assert {"keras", "saved_model", "neural-architecture-search"} <= set(found["tags"])


def test_its_result_is_the_test_accuracy():
    (model,) = header("keras:cifar10")["model-index"]
    (result,) = model["results"]
    assert model["name"] == "candidate-00007"
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {
        "type": "uoft-cs/cifar10",
        "name": "keras:cifar10",
        "split": "test",
    }
    assert [(m["type"], m["value"]) for m in result["metrics"]] == [("accuracy", 0.95)]


def test_what_is_unknown_is_left_out():
    found = header(test=None, formats=["saved_model"])
    assert set(found) == {"pipeline_tag", "tags"}


@pytest.mark.parametrize(
    ("dataset", "known"),
    [
        ("mnist5k", ["ylecun/mnist"]),
        ("tfds:mnist", ["ylecun/mnist"]),
        ("folder:mnist", None),
        ("mnist", None),
        ("folder:C: #1\n---\n'ä", None),
    ],
)
def test_a_data_set_is_named_only_if_the_hub_has_it(dataset, known):
    found = header(dataset)
    assert found.get("datasets") == known
    assert found["model-index"][0]["results"][0]["dataset"]["name"] == " ".join(dataset.split())


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("MIT", {"license": "mit"}),
        ("ours, ask: us", {"license": "other", "license_name": "ours, ask: us"}),
    ],
)
def test_a_licence_is_one_of_the_hub_or_has_a_name(licence, fields):
    assert fields.items() <= header(licence=licence).items()
    assert "license" not in header()
