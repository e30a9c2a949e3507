"""Search algorithms, which choose candidates to evaluate; independent of Keras and Horovod."""

from xnas_tf.strategy.algorithm import Algorithm
from xnas_tf.strategy.proposal import Proposal

__all__ = ["Algorithm", "Proposal"]
