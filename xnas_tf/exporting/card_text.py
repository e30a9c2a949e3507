"""Formats the model card of an exported model as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xnas_tf.exporting.card_explanations import explanations_text, goal_text
from xnas_tf.exporting.card_files import files_text, size_in_mb
from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.exporting.markdown import code, code_block, markdown_list, markdown_table, text
from xnas_tf.reporting.predictions import BINS
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.number_format import brief_value, percent_interval, percent_text
from xnas_tf.utils.source_code import MAIN

SPLITS = ("train", "validation", "test")
SETTINGS = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "weight_decay")
"""Training settings to show; ``card.json`` contains all settings."""
_IMAGES = """\
import numpy as np

images = np.zeros((2, {shape}), np.uint8)  # yours, values 0 to 255
np.save("images.npy", images)"""
_COMMANDS = """\
saved_model_cli show --dir 1 --tag_set serve --signature_def explain
saved_model_cli run --dir 1 --tag_set serve --signature_def serving_default \\
  --inputs 'images=images.npy'
saved_model_cli run --dir 1 --tag_set serve --signature_def explain \\
  --inputs 'images=images.npy' --input_exprs 'class_index=[-1, 0]' --outdir explained"""
_REQUEST = """\
import json

each = [{"images": image, "class_index": -1} for image in images.tolist()]
with open("request.json", "w") as file:
    json.dump({"signature_name": "explain", "instances": each}, file)"""
_SERVING = """\
docker run --rm -p 127.0.0.1:8501:8501 -v "$PWD:/models/{name}" -e MODEL_NAME={name} \\
  tensorflow/serving
curl -d @request.json http://localhost:8501/v1/models/{name}:predict"""


def card_text(card: dict[str, Any], kinds: Sequence[ExportFormat]) -> str:
    """Return the result of ``model_card`` as Markdown, with sections for these formats."""
    how = ", fully trained" if card["retrained"] else ""
    data = text(card["dataset"]["name"])
    use = card["use"]
    sections = [
        f"# Candidate {card['candidate']}{how}: an image classifier for {data}",
        text(card["summary"]),
        _overview(card),
        f"Architecture: {code(card['genotype'])}",
        _picture(card),
        "## Intended use",
        text(use["intended"]),
        "Not intended for:",
        markdown_list(use["out_of_scope"]),
        "## How to call it",
        _calls(card, kinds),
        "## Data",
        _data(card),
        "## Training",
        _training(card),
        "## Test metrics",
        _test(card),
        _class_table(card),
        "## Objectives of the search",
        _objectives(card),
        "## Explanations",
        explanations_text(card),
        "## Limits",
        markdown_list(card["limits"]),
        "## Licence",
        text(card["licence"]),
        text(card["data_licence"]),
        "## Files",
        files_text(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _overview(card: dict[str, Any]) -> str:
    accuracy = f"**{percent_interval(card['test']['accuracy'])}**" if card["test"] else "unknown"
    weak = text(card["weak_classes"])
    rows = [
        ("test accuracy", f"{accuracy}. {weak}" if weak else accuracy),
        ("parameters, including non-trainable ones", f"{card['parameters']:,}"),
        *((f"size as `{each['format']}`", size_in_mb(each)) for each in card["files"]),
        ("input", text(card["input"])),
        ("output", text(card["output"])),
    ]
    return markdown_table(("fact", "value"), rows)


def _picture(card: dict[str, Any]) -> str:
    if not card["picture"]:
        return ""
    return (
        f"![Test images and attribution maps]({card['picture']})\n\n"
        "*Test images with their true class, and below each image the pixels on which the "
        "prediction depends. Grad-CAM: from dark blue (little) to yellow (a lot). Integrated "
        "gradients: purple for the predicted class, orange against it.*"
    )


def _objectives(card: dict[str, Any]) -> str:
    rows = [
        (
            text(name),
            f"{brief_value(each['value'])} {each['unit']}".strip(),
            goal_text(each["direction"]),
            text(each["meaning"]),
        )
        for name, each in card["objectives"].items()
    ]
    compared = "The search compared candidates by these values, measured on validation images:"
    note = "Measured on validation images after retraining:" if card["retrained"] else compared
    return f"{note}\n\n" + markdown_table(("objective", "value", "goal", "meaning"), rows)


def _data(card: dict[str, Any]) -> str:
    data = card["dataset"]
    height, width, channels = data["image_shape"]
    images = ", ".join(f"{data['images'][split]:,} {split}" for split in SPLITS)
    how = f", split {text(data['how_split'])}" if "how_split" in data else ""
    problem = f" It could not be loaded: {text(data['problem'])}." if "problem" in data else ""
    return (
        f"{text(data['name'])}: {len(data['class_names'])} classes, images of "
        f"{size_text(height, width)} pixels with {channels} "
        f"channel{'s' * (channels > 1)}: {images}{how} (seed {data['seed']}).{problem}"
        f"{_bug(data.get('bug'))}"
    )


def _bug(bug: dict[str, Any] | None) -> str:
    if not bug or bug["share"] == 0:
        return ""
    return (
        f" **A bug was planted in the training images** (`{bug['kind']}` for class "
        f"{text(str(bug['target']))}): this model is only for tests of explanations."
    )


def _training(card: dict[str, Any]) -> str:
    settings = card["training"]
    shown = [f"{name.replace('_', ' ')} {settings[name]}" for name in SETTINGS if name in settings]
    if settings.get("own_fit"):
        shown.append("trained by the HyperModel's own fit, which may use other settings")
    versions = card["versions"]
    used = ", ".join(
        f"{name} {versions[name]}" for name in ("tensorflow", "keras") if name in versions
    )
    return text(
        f"{', '.join(shown)}; seed {card['seed']}; {used}. card.json contains all settings."
    )


def _test(card: dict[str, Any]) -> str:
    test = card["test"]
    if test is None:
        return "Test metrics: unknown."
    accuracy = (
        f"Accuracy on the {test['images']:,} images of the test split: "
        f"**{percent_interval(test['accuracy'])}**. Intervals are Wilson's, at "
        f"{test['confidence']:.0%} confidence. `card.json` contains the confusion matrix."
    )
    calibration = test.get("calibration")
    if not calibration:
        return accuracy
    return (
        f"{accuracy}\n\nCalibration: the expected calibration error, the mean difference between "
        f"confidence and accuracy in {BINS} bins of confidence, is "
        f"{percent_text(calibration['error'])}; 0% is best. The "
        "probabilities were not recalibrated."
    )


def _class_table(card: dict[str, Any]) -> str:
    names = card["dataset"]["class_names"]
    counts = card["dataset"].get("counts")
    measured = card["test"]["classes"] if card["test"] else [None] * len(names)
    rows = []
    for number, name in enumerate(names):
        images = [f"{counts[split][number]:,}" if counts else "" for split in SPLITS]
        rows.append((str(number), text(name), *images, percent_interval(measured[number])))
    return markdown_table(("number", "class", *SPLITS, "test accuracy"), rows)


def _calls(card: dict[str, Any], kinds: Sequence[ExportFormat]) -> str:
    """Show how to call the model, in code blocks that run as they are in the card's folder."""
    shape = ", ".join(map(str, card["dataset"]["image_shape"]))
    blocks = [
        text(card["preparation"]),
        "In this folder:",
        code_block("python", _IMAGES.format(shape=shape)),
    ]
    for kind in kinds:
        returns = f", which returns {text(card['keras_output'])}" if kind.name == "keras" else ""
        blocks += [f"`{kind.name}`{returns}:", code_block("python", _usage(kind, card))]
    if any(kind.name == "saved_model" for kind in kinds):
        blocks += [
            "`explain` takes a class for each image: its number in the table of classes, or -1 for "
            "the predicted class. Any other number raises an InvalidArgumentError. With "
            "TensorFlow's own tool:",
            code_block("sh", _COMMANDS),
            "With TensorFlow Serving, first create the request, then start the server and send it:",
            code_block("python", _REQUEST),
            code_block("console", _SERVING.format(name=card["name"])),
        ]
    return "\n\n".join(filter(None, blocks))


def _usage(kind: ExportFormat, card: dict[str, Any]) -> str:
    """Return code that runs a file; a Keras model may need an import, or safe mode turned off."""
    usage = kind.usage
    if kind.name != "keras":
        return usage
    if card["custom_objects"]:
        module, names = card["hypermodel_module"], ", ".join(card["custom_objects"])
        where = (
            "in this folder" if card["own_code"]["copied"] else "to be installed, or copied here"
        )
        load = f"# The search's own module, {where}; it defines {names}.\nimport {module}\n"
        if module in ("", MAIN):
            load = f"# Define {names} first, as in the script of the search.\n"
        usage = usage.replace("import keras\n", f"import keras\n{load}")
    if card["contains_code"]:
        usage = usage.replace("compile=False", "compile=False, safe_mode=False")
    return usage
