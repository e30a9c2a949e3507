"""FLINT: a framework to learn with interpretation.

Parekh, Mozharovskyi, d'Alché-Buc, *A Framework to Learn with Interpretation*, NeurIPS 2021,
arXiv 2010.09345. Attributes, few and non-negative, are learned from a predictor's hidden layers;
a linear classifier on them says what the predictor says, and so explains it.
"""

from xnas_tf.interpretation.flint.interpretation import Interpretation, train_interpreter
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter

__all__ = ["InterpretableModel", "Interpretation", "Interpreter", "train_interpreter"]
