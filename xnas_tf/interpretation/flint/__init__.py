"""FLINT: a framework to learn with interpretation.

Parekh, Mozharovskyi, d'Alché-Buc, *A Framework to Learn with Interpretation*, NeurIPS 2021,
arXiv 2010.09345. A few non-negative attributes are learned from a predictor's hidden layers. A
linear classifier on these attributes reproduces the predictor's output and thereby explains it.
"""

from xnas_tf.interpretation.flint.interpretation import Interpretation
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.interpretation.flint.training import train_interpreter

__all__ = ["InterpretableModel", "Interpretation", "Interpreter", "train_interpreter"]
