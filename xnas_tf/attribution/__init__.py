"""Attributions: maps over the input that say what a prediction rests on."""

from xnas_tf.attribution.activations import activations
from xnas_tf.attribution.grad_cam import GradCAM
from xnas_tf.attribution.integrated_gradients import IntegratedGradients

__all__ = ["GradCAM", "IntegratedGradients", "activations"]
