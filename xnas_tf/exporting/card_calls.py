"""The section of a model card that shows how to call the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.exporting.markdown import code_block, text
from xnas_tf.utils.source_code import MAIN

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


def calls_text(card: dict[str, Any], kinds: Sequence[ExportFormat]) -> str:
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
