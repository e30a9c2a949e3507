"""Decides what to evaluate; knows nothing of Keras or Horovod."""

from xnas_tf.search.nsga2 import NSGA2, Proposal
from xnas_tf.search.problem import SearchProblem

__all__ = ["NSGA2", "Proposal", "SearchProblem"]
