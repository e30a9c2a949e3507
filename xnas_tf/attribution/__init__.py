"""Attributions: maps over the input that say what a prediction rests on.

A method is called with a model, images and target classes and returns one map an image:

    maps = IntegratedGradients(steps=32)(model, images)          # of the predicted classes
    maps = GradCAM(layer="block3")(model, images, targets=7)     # of class 7
"""

from typing import Any

from xnas_tf.errors import InputError
from xnas_tf.registry import Registry

ATTRIBUTIONS = Registry(
    "attribution method",
    "xnas_tf.attributions",
    {
        "grad_cam": "xnas_tf.attribution.grad_cam:GradCAM",
        "grad_cam_plus_plus": "xnas_tf.attribution.grad_cam:GradCAMPlusPlus",
        "integrated_gradients": "xnas_tf.attribution.integrated_gradients:IntegratedGradients",
        "smooth_grad": "xnas_tf.attribution.smooth_grad:SmoothGrad",
        "gradient_input": "xnas_tf.attribution.gradient_input:GradientInput",
        "occlusion": "xnas_tf.attribution.occlusion:Occlusion",
    },
)


def attribution_method(name: str) -> Any:
    """The class of the method called ``name``, or the one at ``module:Name``.

    Raises:
        InputError: If there is none, or it is no attribution method.
    """
    from xnas_tf.attribution.base import AttributionMethod

    method = ATTRIBUTIONS.get(name)
    if not (isinstance(method, type) and issubclass(method, AttributionMethod)):
        raise InputError(f"{name!r} is no xnas_tf.attribution.base.AttributionMethod")
    return method
