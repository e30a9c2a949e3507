"""Decides what to evaluate; knows nothing of Keras or Horovod."""

from xnas_tf.strategy.nsga2 import NSGA2, Proposal
from xnas_tf.strategy.problem import SearchProblem

__all__ = ["NSGA2", "Proposal", "SearchProblem"]
