"""The base class for export formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from xnas_tf.exporting.serving import ServedModel
    from xnas_tf.objectives.latency import Latency

Outputs = dict[str, "np.ndarray"]
"""``probabilities`` (N, classes), and maps (N, H, W) by method in formats that also explain."""


class ExportFormat(ABC):
    """A format that writes a model to a file or folder, and runs the result for comparison.

    Plug-ins subclass this class and implement ``write`` and ``outputs``.
    """

    name: ClassVar[str]
    """The name under which the format is registered."""
    file: ClassVar[str]
    """Name of the file or folder that the format writes."""
    tolerance: ClassVar[float]
    """Maximum allowed ``verification.difference`` from the model's outputs."""
    is_quantized: ClassVar[bool] = False
    """Whether the exported model computes with integers. If so, it needs calibration images, and
    its accuracy on the test split is compared with that of the original model."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Modules that the format requires besides TensorFlow."""
    extra: ClassVar[str] = ""
    """The extra of the xnas-tf package that installs these modules."""
    usage: ClassVar[str] = ""
    """Python code for the card that runs the file on ``images``, uint8 (B, H, W, C)."""

    @abstractmethod
    def write(self, served: ServedModel, path: Path) -> None:
        """Write the model to a file or folder at ``path``."""

    @abstractmethod
    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """Run what ``write`` produced on uint8 images (N, H, W, C)."""

    def latency(self, path: Path, options: Latency) -> list[float] | None:
        """Return the 10th, 50th and 90th latency percentiles in milliseconds per image, or None."""
        return None
