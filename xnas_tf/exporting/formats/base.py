"""What an export format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from xnas_tf.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from xnas_tf.exporting.serving import ServedModel

Outputs = dict[str, "np.ndarray"]
"""``probabilities`` (N, classes), and of formats that explain too maps (N, H, W) by method."""


class ExportFormat(ABC):
    """Writes a model as a file or folder, and runs what was written to compare it.

    Plug-ins subclass this and implement ``write`` and ``outputs``.
    """

    name: ClassVar[str]
    """The name it is registered under."""
    file: ClassVar[str]
    """What it writes, within the export's folder."""
    tolerance: ClassVar[float]
    """How far outputs may be from the model's: see ``xnas_tf.exporting.verification``."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What must be installed besides TensorFlow."""
    extra: ClassVar[str] = ""
    """What pip must install for that."""
    usage: ClassVar[str] = ""
    """Python that runs the file, for its card; ``images`` are there, uint8 (B, H, W, C)."""

    def check_installed(self) -> None:
        """Checks that the converter is there.

        Raises:
            InputError: If it is not.
        """
        missing = [module for module in self.modules if find_spec(module) is None]
        if missing:
            raise InputError(
                f"format {self.name}: {' and '.join(missing)} not installed: "
                f"pip install '{self.extra}'"
            )

    @abstractmethod
    def write(self, served: ServedModel, path: Path) -> None:
        """Writes the model.

        Args:
            served: The model.
            path: The file or folder to make.
        """

    @abstractmethod
    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """What is written says of images.

        Args:
            path: The file or folder that ``write`` made.
            images: uint8, (N, H, W, C).
        """
