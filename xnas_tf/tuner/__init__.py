"""A search as keras-tuner users know it."""

from xnas_tf.tuner.tuner import Tuner

__all__ = ["Tuner"]
