"""Decides what to evaluate; knows nothing of Keras or Horovod."""

from xnas_tf.strategy.algorithm import Algorithm, Proposal
from xnas_tf.strategy.creation import SELECTIONS, create

__all__ = ["SELECTIONS", "Algorithm", "Proposal", "create"]
