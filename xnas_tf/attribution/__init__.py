"""Attribution maps, which show how much each part of the input contributes to a prediction.

Call a method with a model, images and target classes to get one map per image:

    maps = IntegratedGradients(steps=32)(model, images)          # for the predicted classes
    maps = GradCAM(layer="block3")(model, images, targets=7)     # for class 7
"""

from __future__ import annotations

from xnas_tf.attribution.base import AttributionMethod
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


def attribution_method(name: str) -> type[AttributionMethod]:
    """Return the class of an attribution method, given its registered name or ``module:Name``.

    Raises:
        InputError: If the class does not exist or is not an attribution method.
    """
    method = ATTRIBUTIONS.get(name)
    if not (isinstance(method, type) and issubclass(method, AttributionMethod)):
        raise InputError(
            f"{name!r} is not a subclass of xnas_tf.attribution.base.AttributionMethod"
        )
    return method


def method_with_steps(name: str, steps: int) -> AttributionMethod:
    """Return the attribution method with this name; set ``steps`` if the method has that option."""
    method = attribution_method(name)
    return method.model_validate({"steps": steps} if "steps" in method.model_fields else {})
