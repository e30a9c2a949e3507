"""Formats the model card of an exported model as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.number_format import brief_value, percent_range, percent_text
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
docker run --rm -p 8501:8501 -v "$PWD:/models/{name}" -e MODEL_NAME={name} tensorflow/serving
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
        _list(use["out_of_scope"]),
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
        _explanations(card),
        "## Limits",
        _list(card["limits"]),
        "## Licence",
        text(card["licence"]),
        text(card["data_licence"]),
        "## Files",
        _files(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def text(given: object) -> str:
    """Escape text that may come from a user, so that Markdown shows it literally on one line.

    Some Markdown renderers do not support a backslash before ``|``, ``~`` and ``$``.
    """
    escaped = html.escape(" ".join(str(given).split()), quote=False)
    escaped = re.sub(r"([\\`*\[\]]|\b_|_\b|(?<!\w)_|_(?!\w))", r"\\\1", escaped)
    return re.sub(r"[|~$]", lambda found: f"&#{ord(found[0])};", escaped)


def code(given: object) -> str:
    """Format text as inline code on one line, for use outside tables."""
    line = " ".join(str(given).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text(each)}" for each in texts)


def _overview(card: dict[str, Any]) -> str:
    accuracy = f"**{percent(card['test']['accuracy'])}**" if card["test"] else "unknown"
    weak = text(card["weak_classes"])
    rows = [
        ("test accuracy", f"{accuracy}. {weak}" if weak else accuracy),
        ("parameters, including non-trainable ones", f"{card['parameters']:,}"),
        *((f"size as `{each['format']}`", _size(each)) for each in card["files"]),
        ("input", text(card["input"])),
        ("output", text(card["output"])),
    ]
    return _table(("fact", "value"), rows)


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
            _goal(each["direction"]),
            text(each["meaning"]),
        )
        for name, each in card["objectives"].items()
    ]
    note = "The search compared candidates by these values, measured on validation images:"
    return f"{note}\n\n" + _table(("objective", "value", "goal", "meaning"), rows)


def _goal(direction: str) -> str:
    return {"minimize": "↓ lower", "maximize": "↑ higher"}.get(direction, text(direction))


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
        f"**{percent(test['accuracy'])}**. Intervals are Wilson's, at "
        f"{test['confidence']:.0%} confidence. `card.json` contains the confusion matrix."
    )
    calibration = test.get("calibration")
    if not calibration:
        return accuracy
    return (
        f"{accuracy}\n\nCalibration: the expected calibration error, the mean difference between "
        f"confidence and accuracy, is {percent_text(calibration['error'])}; 0% is best. The "
        "probabilities were not recalibrated."
    )


def percent(interval: Sequence[float] | None) -> str:
    """Return ``[low, value, high]`` as text, or an empty string if there are no images."""
    if interval is None:
        return ""
    low, value, high = interval
    return f"{percent_text(value)} ({percent_range(low, high)})"


def _class_table(card: dict[str, Any]) -> str:
    names = card["dataset"]["class_names"]
    counts = card["dataset"].get("counts")
    measured = card["test"]["classes"] if card["test"] else [None] * len(names)
    rows = []
    for number, name in enumerate(names):
        images = [f"{counts[split][number]:,}" if counts else "" for split in SPLITS]
        rows.append((str(number), text(name), *images, percent(measured[number])))
    return _table(("number", "class", *SPLITS, "test accuracy"), rows)


def _explanations(card: dict[str, Any]) -> str:
    known = card["explanations"]
    is_served = any(each["format"] == "saved_model" for each in card["files"])
    where = "not in these files; the format `saved_model` computes it"
    if is_served:
        where = "in the signature `explain`"
    lines = [
        f"- `{name}`: {where}, as maps (batch, height, width), with "
        + text(", ".join(f"{key} {value}" for key, value in options.items() if value is not None))
        for name, options in known["methods"].items()
    ]
    lines += [
        f"- `{name}`: not available. {text(why)}" for name, why in known["inapplicable"].items()
    ]
    parts = ["\n".join(lines), _map_quality(known["quality"]["maps"], card["verified_on"])]
    rows = [
        (text(name), brief_value(value), _goal(measure["direction"]), text(measure["meaning"]))
        for measure in known["quality"]["measured"].values()
        for name, value in measure["values"].items()
    ]
    if rows:
        table = _table(("metric", "value", "goal", "meaning"), rows)
        parts.append(f"Measured by the search, on validation images:\n\n{table}")
    if explained := known["quality"]["explained"]:
        table = _table(
            ("metric", "means", "meaning"),
            [tuple(map(text, metric)) for metric in explained["metrics"]],
        )
        verdicts = "\n\n".join(map(text, explained["verdicts"]))
        parts.append(f"Measured by `xnas-tf explain`:\n\n{table}\n\n{verdicts}")
    return "\n\n".join(part for part in parts if part)


def _map_quality(maps: dict[str, dict[str, float | None]], images: str) -> str:
    """Return the quality of the maps and, for comparison, of random maps."""
    if not maps:
        return ""
    rows = [_map_row(name, each) for name, each in maps.items()]
    table = _table(("maps", "deletion ↓ (lower is better)", "insertion ↑ (higher is better)"), rows)
    return (
        f"The mean probability of the predicted class, on {text(images)}, as pixels are deleted "
        "or inserted, starting with those that a map marks as most important. A useful method is "
        f"better than random maps:\n\n{table}"
        f"{_verdict(maps)}"
    )


def _verdict(maps: dict[str, dict[str, float | None]]) -> str:
    """Name the methods that are not clearly better than random maps; empty if there are none."""
    poor = [name for name, each in maps.items() if each.get("better_than_random") is False]
    if not poor:
        return ""
    names = " and ".join(f"`{name}`" for name in poor)
    return (
        f"\n\nOn these images, the maps of {names} are not clearly better than random maps: they "
        "are weak evidence of what the model uses."
    )


def _map_row(name: str, means: dict[str, float | None]) -> tuple[str, ...]:
    left_out = f" ({means['empty']} empty maps left out)" if means.get("empty") else ""
    values = (means[key] for key in ("deletion", "insertion"))
    return text(name) + left_out, *("–" if mean is None else f"{mean:.3f}" for mean in values)


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


def _calls(card: dict[str, Any], kinds: Sequence[ExportFormat]) -> str:
    """Show how to call the model, in code blocks that run as they are in the card's folder."""
    shape = ", ".join(map(str, card["dataset"]["image_shape"]))
    blocks = [
        text(card["preparation"]),
        "In this folder:",
        _block("python", _IMAGES.format(shape=shape)),
    ]
    for kind in kinds:
        returns = f", which returns {text(card['keras_output'])}" if kind.name == "keras" else ""
        blocks += [f"`{kind.name}`{returns}:", _block("python", _usage(kind, card))]
    if any(kind.name == "saved_model" for kind in kinds):
        blocks += [
            "`explain` takes a class for each image: its number in the table of classes, or -1 for "
            "the predicted class. Any other number raises an InvalidArgumentError. With "
            "TensorFlow's own tool:",
            _block("sh", _COMMANDS),
            "With TensorFlow Serving, first create the request, then start the server and send it:",
            _block("python", _REQUEST),
            _block("console", _SERVING.format(name=card["name"])),
        ]
    return "\n\n".join(filter(None, blocks))


def _block(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"


def _files(card: dict[str, Any]) -> str:
    rows = [
        (
            f"`{each['file']}`",
            f"`{each['format']}`",
            _size(each),
            f"{max(each['differences'].values()):.1g}",
            "" if "quantization" in each else f"{each['tolerance']:.0e}",
            f"{each['latency']['milliseconds'][1]:.3g}" if "latency" in each else "",
        )
        for each in card["files"]
    ]
    header = ("file", "format", "size", "difference", "allowed", "ms an image")
    parts = [
        f"After it was written, each file was run on {text(card['verified_on'])}.",
        _table(header, rows),
        *(_latency(each["latency"]) for each in card["files"] if "latency" in each),
        *(_quantization(each) for each in card["files"] if "quantization" in each),
        _own_code(card["own_code"]),
    ]
    parts = [part for part in parts if part]
    return "\n\n".join(dict.fromkeys(parts))


def _own_code(own: dict[str, Any]) -> str:
    """Say which of the user's files is in the folder, and which modules are not."""
    parts = []
    if own["copied"]:
        parts.append(
            f"`model.keras` needs the search's own code: {code(own['copied'])} is a copy, as it "
            "was at the time of the export."
        )
    if own["not_copied_because"]:
        parts.append(
            "`model.keras` needs the search's own code, which was not copied: "
            f"{text(own['not_copied_because'])}."
        )
    if own["needs"]:
        listed = ", ".join(map(code, own["needs"]))
        parts.append(f"The code also needs these modules, which are not in this folder: {listed}.")
    return " ".join(parts)


def _size(file: dict[str, Any]) -> str:
    return f"{file['bytes'] / 1e6:.2f} MB"


def _latency(measured: dict[str, Any]) -> str:
    return (
        f"Latency is the median on the machine of the export, with batches of "
        f"{measured['batch_size']}; threads: {measured['threads']}."
    )


def _quantization(file: dict[str, Any]) -> str:
    found = file["quantization"]
    loss = found["model_accuracy"][1] - found["accuracy"][1]
    warning = (
        f" **It loses {100 * loss:.1f} percentage points.**" if loss > found["allowed_loss"] else ""
    )
    return (
        f"`{file['file']}` is quantized to int8, calibrated on {found['calibration_images']} "
        f"training images. Its accuracy on {found['images']:,} test images is "
        f"{percent(found['accuracy'])}; the accuracy of the Keras model is "
        f"{percent(found['model_accuracy'])}. Both predict the same class for "
        f"{percent(found['agreement'])} of these images.{warning}"
    )
