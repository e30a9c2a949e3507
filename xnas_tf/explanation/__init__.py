"""Explaining what a model sees in images, with several methods at once."""

from xnas_tf.explanation.explanation import DEFAULT_METHODS, Explanation, explain

__all__ = ["DEFAULT_METHODS", "Explanation", "explain"]
