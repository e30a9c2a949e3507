"""Export of trained models for use without xnas_tf, with a model card.

Each file is compared with the model once it is written.
"""

from xnas_tf.exporting.command import export
from xnas_tf.exporting.formats import DEFAULT_FORMATS, FORMATS

__all__ = ["DEFAULT_FORMATS", "FORMATS", "export"]
