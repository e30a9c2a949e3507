"""NAD's published settings: which layers are masked, and β.

The settings come from the code for arXiv 2003.13268 (github.com/hujiecpp/NAD): from the masks in
``models/imagenet``, and from the table of β values for ImageNet at the top of ``findpath.py``. For
Places365, the code sets β to 5.0 for VGG-16 and 0.20 for DARTS, and keeps the ImageNet values for
other architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

import keras

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.inspection import all_layers


@dataclass(frozen=True)
class Preset:
    """Settings for one architecture.

    Attributes:
        layers: Names or name patterns of the masked layers, which follow Keras Applications if it
            includes the architecture; None for the ends of all convolution blocks.
        beta: Weight of sparsity, or ``auto``.
    """

    layers: Sequence[str] | None = None
    beta: float | Literal["auto"] = "auto"


PRESETS = {
    # 13 layers: each convolution, or the pooling that follows it.
    "vgg16": Preset(
        (
            *("block1_conv1", "block1_pool", "block2_conv1", "block2_pool"),
            *(f"block{n}_{name}" for n in (3, 4, 5) for name in ("conv1", "conv2", "pool")),
        ),
        beta=4.5,
    ),
    # 17 layers: the pooling of the stem, and the 16 residual blocks.
    "resnet50": Preset(("pool1_pool", "conv?_block*_out"), beta=0.02),
    # 8 layers: the pooling of the stem, the dense blocks, and the pooling of the transitions.
    "densenet121": Preset(
        (
            *("pool1", "conv2_block6_concat", "pool2_pool", "conv3_block12_concat"),
            *("pool3_pool", "conv4_block24_concat", "pool4_pool", "relu"),
        ),
        beta=0.02,
    ),
    # 16 layers: both stems and the 14 cells. Keras Applications does not have this network.
    "darts": Preset(("stem0", "stem1", *(f"cell{number}" for number in range(14))), beta=0.45),
}


def preset_for(name: str | None, model: keras.Model) -> Preset:
    """Return a preset, or the default settings if ``name`` is None.

    Raises:
        InputError: If the preset does not exist, or the model lacks some of its layers.
    """
    if name is None:
        return Preset()
    if name not in PRESETS:
        raise InputError(f"`preset`: no preset is called {suggest(name, PRESETS)}")
    names = {layer.name for layer in all_layers(model)}
    missing = {each: _missing(preset, names) for each, preset in PRESETS.items()}
    if not missing[name]:
        return PRESETS[name]
    fitting = [each for each, absent in missing.items() if not absent]
    hint = f"did you mean `preset` {fitting[0]}? " if fitting else ""
    raise InputError(
        f"`preset` {name}: the model has no layers {', '.join(missing[name])} ({hint}allowed: a "
        "model with these layers, or `layers` and `beta`)"
    )


def _missing(preset: Preset, names: set[str]) -> list[str]:
    """Return the preset's layer names and patterns that match no layer of a model."""
    return [each for each in preset.layers or () if not any(fnmatch(n, each) for n in names)]
