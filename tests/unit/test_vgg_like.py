import re
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import left_to_all
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.retraining.job import check_fits
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.spaces.variables import is_active
from xnas_tf.spaces.vgg_like import VGGLike

ROOT = Path(__file__).parents[2]
VALUES = {
    **{"blocks": 2, "pooling": "max", "batch_norm": True, "head": "average"},
    **{"convolutions_1": 2, "kernel_1": 3, "width_1": 1.0},
    **{"convolutions_2": 1, "kernel_2": 5, "width_2": 2.0},
}


def space(shape=(8, 8, 1), **options):
    return SearchSpace(VGGLike(shape, 3, **options), shape, 3)


def networks(variables, values=None):
    """All assignments of the active variables, one after the other."""
    if not variables:
        yield values
        return
    first, *rest = variables
    values = values or {}
    if not is_active(first, values):
        yield from networks(rest, values)
        return
    for value in first.values:
        yield from networks(rest, {**values, first.name: value})


def size(blocks):
    """3 counts, 2 kernels and 3 widths a block; 2 poolings, with batch normalisation or not; the
    average, or one of 3 numbers of units with one of 3 dropouts."""
    return sum((3 * 2 * 3) ** depth for depth in range(1, blocks + 1)) * 2 * 2 * (1 + 3 * 3)


@pytest.mark.parametrize("blocks", [1, *left_to_all(2)])
def test_the_size_is_that_of_the_enumeration(blocks):
    made = space((32, 32, 3), blocks=blocks)
    everything = list(networks(made.variables))
    texts = {made.genotype(values) for values in everything}
    assert len(everything) == len(texts) == size(blocks)
    assert not any(made.infeasible(values) for values in everything)


def test_the_documented_sizes():
    for text in (
        (ROOT / "docs/reference/hypermodels.md").read_text(),
        (ROOT / "docs/reference/configuration.md").read_text(),
    ):
        stated = {int(n.replace(",", "")) for n in re.findall(r"\d{1,3}(?:,\d{3})+", text)}
        assert {size(4), size(3)} <= stated


def test_the_network_is_the_one_that_the_genotype_says():
    made = space()
    assert made.genotype(VALUES) == "2*conv3x3-width1|1*conv5x5-width2|max|batch_norm"
    model = made.build(VALUES)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    block = ["Conv2D", "BatchNormalization", "Activation"]
    assert kinds == [
        *block * 2, "MaxPooling2D", *block, "MaxPooling2D",
        "GlobalAveragePooling2D", "Dense", "Softmax",
    ]  # fmt: skip
    convolutions = 9 * 16 + 9 * 16 * 16 + 25 * 16 * 64
    normalisations = 2 * (16 + 16 + 64)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == convolutions + normalisations + 64 * 3 + 3


def test_an_architecture_stays_the_same_with_more_filters_and_blocks():
    """As a retraining asks for it."""
    small, large = space(channels=2, blocks=2), space(channels=4, blocks=3)
    check_fits(Candidate(1, small.genotype(VALUES), VALUES), large)
    counts = [made.build(VALUES).count_params() for made in (small, large)]
    assert counts[0] < counts[1]


def test_a_dense_head_without_batch_normalisation():
    made = space()
    values = {**VALUES, "batch_norm": False, "head": "dense", "units": 64, "dropout": 0.25}
    assert made.genotype(values).endswith("|max|dense64|dropout0.25")
    model = made.build(values)
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in model.layers)
    assert model.get_layer("block1_conv1").use_bias and model.get_layer("dropout").rate == 0.25
    dropless = made.build({**values, "dropout": 0.0})
    assert "dropout" not in [layer.name for layer in dropless.layers]


@pytest.mark.long
def test_filters_stop_growing_at_eight_times_the_first():
    deep = space((64, 64, 3), channels=16, blocks=6)
    values = {**VALUES, "blocks": 6}
    values |= {f"{k}_{b}": v for b in range(1, 7) for k, v in
               (("convolutions", 1), ("kernel", 3), ("width", 1.0))}  # fmt: skip
    found = [x.filters for x in deep.build(values).layers if isinstance(x, keras.layers.Conv2D)]
    assert found == [16, 32, 64, 128, 128, 128]


@pytest.mark.parametrize(
    ("shape", "most"), [((8, 8, 1), 3), ((7, 9, 1), 3), ((28, 28, 1), 5), ((2, 64, 3), 1)]
)
def test_more_poolings_than_there_are_pixels_are_infeasible(shape, most):
    model = VGGLike(shape, 3, blocks=6)
    reasons = [model.infeasible({"blocks": blocks}) for blocks in range(1, 7)]
    assert [reason is None for reason in reasons] == [blocks <= most for blocks in range(1, 7)]
    if most < 6:
        assert f"one pixel high or wide after {most}" in reasons[most]


@pytest.mark.parametrize(
    ("option", "message"),
    [("blocks: 9", "space.blocks: given 9"), ("chanels: 2", "did you mean 'channels'")],
)
def test_wrong_options_are_named(option, message):
    with pytest.raises(InputError, match=message):
        load_config(overrides=[f"space={{name: vgg_like, {option}}}"])
