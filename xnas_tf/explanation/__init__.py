"""Explains a model's predictions on images with several attribution methods."""

from xnas_tf.explanation.explaining import DEFAULT_METHODS, explain
from xnas_tf.explanation.explanation import Explanation

__all__ = ["DEFAULT_METHODS", "Explanation", "explain"]
