"""ONNX, for ONNX Runtime and other runtimes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf

from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.keras_tools.compat import freeze

OPSET = 17
"""Of 2022: old enough for runtimes on devices, and sufficient for all built-in search spaces."""


class Onnx(ExportFormat):
    """uint8 images -> class probabilities, computed in float32."""

    name: ClassVar[str] = "onnx"
    file: ClassVar[str] = "model.onnx"
    tolerance: ClassVar[float] = 1e-4
    modules: ClassVar[tuple[str, ...]] = ("tf2onnx", "onnxruntime")
    extra: ClassVar[str] = "xnas-tf[onnx]"
    usage: ClassVar[str] = """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
print(session.run(["probabilities"], {"images": images}))"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)  # it logs every graph it rewrites
        with served.traceable():
            frozen = freeze(
                tf.function(served.probabilities, autograph=False).get_concrete_function(
                    served.images
                )
            )
        # Not from_function: it mistakes constants of a layer for inputs.
        names = {frozen.inputs[0].name: "images", frozen.outputs[0].name: "probabilities"}
        input_name, output_name = names
        tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[input_name],
            output_names=[output_name],
            tensors_to_rename=names,
            opset=OPSET,
            output_path=str(path),
        )

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"images": images})
        return {"probabilities": probabilities}
