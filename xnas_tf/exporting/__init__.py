"""Export of trained models for use without xnas_tf: files that are compared with the model after
they are written, and a card that says what the model is."""

from xnas_tf.exporting.command import export
from xnas_tf.exporting.formats import DEFAULT_FORMATS, FORMATS

__all__ = ["DEFAULT_FORMATS", "FORMATS", "export"]
