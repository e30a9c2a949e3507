"""Fully trains selected architectures with several seeds, alongside a hand-designed baseline."""

from xnas_tf.retraining.job import retrain
from xnas_tf.retraining.results import Retrained, Retraining, Training, retrainings

__all__ = ["Retrained", "Retraining", "Training", "retrain", "retrainings"]
