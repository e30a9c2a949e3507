"""ONNX, for ONNX Runtime and other runtimes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.keras_tools.compat import freeze

OPSET = 17
"""Of 2022: old enough for runtimes on devices, and sufficient for all built-in search spaces."""


class Onnx(ExportFormat):
    """uint8 images -> class probabilities, computed in float32."""

    name = "onnx"
    file = "model.onnx"
    tolerance = 1e-4
    modules = ("tf2onnx", "onnxruntime")
    extra = "xnas-tf[onnx]"
    usage = """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
print(session.run(["probabilities"], {"images": images}))"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)  # it logs every graph it rewrites
        with served.traceable():
            function = tf.function(served.probabilities, autograph=False)
            frozen = freeze(function.get_concrete_function(served.images))
        # Not from_function: it mistakes constants of a layer for inputs.
        given, returned = frozen.inputs[0].name, frozen.outputs[0].name
        tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[given],
            output_names=[returned],
            tensors_to_rename={given: "images", returned: "probabilities"},
            opset=OPSET,
            output_path=str(path),
        )

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"images": images})
        return {"probabilities": probabilities}
