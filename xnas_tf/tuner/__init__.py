"""A search with keras-tuner's interface."""

from xnas_tf.tuner.tuner import Tuner

__all__ = ["Tuner"]
