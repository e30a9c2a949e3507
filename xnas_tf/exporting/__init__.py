"""Export of trained models for use without xnas_tf: files that are compared with the model once
they are written, and a model card."""

from xnas_tf.exporting.command import export
from xnas_tf.exporting.formats import DEFAULT_FORMATS, FORMATS

__all__ = ["DEFAULT_FORMATS", "FORMATS", "export"]
