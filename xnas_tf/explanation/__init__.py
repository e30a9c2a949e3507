"""Explanation of a model's predictions on images, with several attribution methods at once."""

from xnas_tf.explanation.explanation import DEFAULT_METHODS, Explanation, explain

__all__ = ["DEFAULT_METHODS", "Explanation", "explain"]
