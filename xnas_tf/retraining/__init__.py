"""Trains selected architectures in full, with several seeds, next to a hand-designed baseline."""

from xnas_tf.retraining.job import retrain
from xnas_tf.retraining.results import Retrained, Retraining, Training, retrainings

__all__ = ["Retrained", "Retraining", "Training", "retrain", "retrainings"]
