"""Search algorithms: choose what to evaluate, without Keras or Horovod."""

from xnas_tf.strategy.algorithm import Algorithm
from xnas_tf.strategy.proposal import Proposal

__all__ = ["Algorithm", "Proposal"]
