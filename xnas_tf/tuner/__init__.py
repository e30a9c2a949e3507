"""A search with the interface of keras-tuner."""

from xnas_tf.tuner.tuner import Tuner

__all__ = ["Tuner"]
