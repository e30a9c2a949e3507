import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.datasets import load_digits

from xnas_tf.data import load_dataset
from xnas_tf.data.given_images import check_several, stored_images
from xnas_tf.data.value_scaling import Scaling, as_bytes, check_alike
from xnas_tf.errors import InputError
from xnas_tf.explanation.image_values import model_images
from xnas_tf.tuner.arrays import stored

LEVELS = arrays.arrays(np.int64, (3, 4, 5, 1), elements=st.integers(0, 255))


def values_of(images: np.ndarray, scaling: Scaling) -> np.ndarray:
    """The values that levels stand for."""
    return scaling.low + images.astype(np.float64) * (scaling.high - scaling.low) / 255


@settings(deadline=None, max_examples=150)
@given(LEVELS, st.integers(-(10**6), 10**6), st.integers(1, 10**4), st.sampled_from("if"))
def test_even_grids_of_up_to_256_levels_survive_exactly(levels, offset, step, kind):
    grid = (offset + step * levels).astype({"i": np.int64, "f": np.float64}[kind])
    images, scaling = as_bytes(grid)
    assert images.dtype == np.uint8 and scaling.error == 0
    back = (values_of(images, scaling) - offset) / step
    np.testing.assert_array_equal(np.rint(back), levels)
    order = np.argsort(grid, axis=None)
    assert (np.diff(images.ravel()[order].astype(int)) >= 0).all()


@settings(deadline=None, max_examples=100)
@given(
    arrays.arrays(
        np.float64, (2, 5, 5, 1), elements=st.floats(-1e6, 1e6, allow_subnormal=False, width=32)
    )
)
def test_the_rounding_error_named_is_the_largest(values):
    images, scaling = as_bytes(values)
    found = np.abs(values_of(images, scaling) - values).max()
    half = (scaling.high - scaling.low) / 255 / 2
    assert found <= half * (1 + 1e-6) + 1e-300
    if scaling.error:
        assert scaling.error == pytest.approx(found, rel=1e-6)
    else:
        pairs = np.unique(np.stack([values.ravel(), images.ravel()]), axis=1)
        assert len(np.unique(pairs[1])) == pairs.shape[1]


def noise(low, high, dtype=np.float32):
    found = np.random.default_rng(0).random((8, 6, 6, 1)) * (high - low) + low
    found[0, 0, :2, 0] = low, high
    return found.astype(dtype)


@pytest.mark.parametrize(
    ("images", "low", "high", "loses"),
    [
        (noise(0, 255, np.uint8), 0, 255, False),
        (noise(0, 90, np.uint8), 0, 255, False),
        (noise(0, 255, np.int32), 0, 255, False),
        (np.rint(noise(0, 200)), 0, 255, False),
        (noise(0, 255), 0, 255, True),
        (noise(0, 0.9), 0, 1, True),
        (noise(0, 255, np.uint8) / 255, 0, 1, False),
        (noise(0, 2, np.uint8).astype(bool), 0, 1, False),
        (noise(0, 2, np.int8), 0, 2, False),
        (np.rint(noise(0, 16)), 0, 16, False),
        (noise(0, 1 + 1e-7), 0, 1, True),
        (noise(-1e-7, 1.0019), 0, 1, True),
        (noise(-0.0019, 0.9), 0, 1, True),
        (noise(-0.4, 255.4), 0, 255, True),
        (noise(0, 1.5), 0, 1.5, True),
        (noise(0, 256, np.int64), 0, 256, True),
        (noise(-1, 1), -1, 1, True),
        (noise(-300, 900, np.int16), -300, 900, False),
        (noise(0, 2**16 - 1, np.uint16), 0, 2**16 - 1, True),
        (np.full((4, 3, 3, 1), -7.0), -7, -7, False),
    ],
)
def test_the_rule_of_each_kind_of_values(images, low, high, loses):
    found, scaling = as_bytes(images)
    assert (scaling.low, scaling.high) == (low, high)
    distinct = len(np.unique(images)) == len(np.unique(found))
    assert distinct == (not scaling.error) and (not loses or scaling.error > 0)
    if images.dtype == np.uint8:
        np.testing.assert_array_equal(found, images)
    if high > low and not scaling.is_usual:
        assert (found.min(), found.max()) == (0, 255)


def test_the_largest_value_on_a_scale_stays_the_brightest():
    """Half a level above the scale, rounding to even would give level 256, which wraps to 0."""
    images = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1) + 0.5
    found, scaling = as_bytes(images)
    assert (scaling.low, scaling.high, scaling.error) == (0, 255, 0.5)
    assert (np.diff(found.ravel().astype(int)) >= 0).all() and found.max() == 255


def test_what_is_said_of_the_values():
    def notes(images):
        return as_bytes(images)[1].notes

    assert notes(noise(0, 255, np.uint8)) == [] == notes(noise(0, 255, np.uint8) / 255)
    assert notes(np.rint(noise(0, 16))) == [
        "values 0 to 16 are stored as 0 to 255, without loss: different values keep different "
        "levels"
    ]
    (rounded,) = notes(noise(-1, 1))
    assert rounded.startswith("values -1 to 1 are stored as 0 to 255, rounded by at most 0.003")
    assert notes(np.zeros((4, 3, 3, 1))) == ["all values are 0"]
    assert "no value is above 16" in notes(noise(0, 16, np.uint8))[0]
    outlier = np.tile(noise(0, 1), (20, 1, 1, 1))
    outlier[0, 0, 0, 0] = 1e4
    assert "clip them first" in notes(outlier)[1]


def test_the_published_test_part_is_scaled_alike(tmp_path):
    images, labels = np.rint(noise(0, 16)), np.arange(8) % 2
    x, y = np.tile(images, (5, 1, 1, 1)), np.tile(labels, 5)
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=images / 2, y_test=labels)
    data = load_dataset(f"npz:{tmp_path / 'a.npz'}", seed=3)
    np.testing.assert_array_equal(data.test.images, np.rint(images / 2 * 255 / 16))
    assert data.scaling.high == 16 and data.facts["values"] == [0, 16]
    assert any("values 0 to 16 are stored" in note for note in data.notes)


def test_parts_on_other_scales_are_refused():
    small = {"train": noise(0, 1), "test": noise(0, 0.1), "validation": noise(-0.01, 1)}
    assert check_alike(small, "mine") == ()
    (note,) = check_alike({"train": noise(0, 4095), "test": noise(0, 255)}, "mine")
    assert note.startswith("values of train from 0 to 4095 and of test from 0 to 255: are they on")
    (note,) = check_alike({"train": noise(0, 1), "test": noise(-1, 1)}, "mine")
    assert note == "only some splits have values below zero: train from 0 to 1, test from -1 to 1"
    with pytest.raises(InputError, match="of train from 0 to 255 and of test from 0 to 1: use"):
        check_alike({"train": noise(0, 255), "test": noise(0, 1)}, "mine")


@pytest.mark.parametrize("limits", [(0, 255), (0, 1), (0, 16), (-2.5, 5), (100, 4000)])
def test_further_images_are_stored_as_those_of_the_data_set(limits):
    images, scaling = as_bytes(noise(*limits))
    known = scaling.low, scaling.high
    np.testing.assert_array_equal(stored_images(noise(*limits), known), images)
    np.testing.assert_array_equal(stored_images(noise(*limits)[..., 0], known), images[..., :1])
    if limits[1] < 128 or limits == (0, 255):
        np.testing.assert_array_equal(stored_images(images, known), images)


def test_bytes_with_small_values_are_values():
    images = noise(0, 16, np.uint8)
    np.testing.assert_array_equal(stored_images(images, (0, 16)), np.rint(images * (255 / 16)))


def test_a_few_values_outside_are_cut_off_with_a_warning():
    images = np.linspace(0, 16, 400).reshape(1, 20, 20, 1)
    images[0, 0, :2, 0] = -3, 40
    with pytest.warns(UserWarning, match=r"from -3 to 40; those outside 0 to 16 are cut off .0.50"):
        found = stored_images(images, (0, 16))
    assert found[0, 0, :2, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("images", "limits", "says"),
    [
        (noise(0, 1), (0, 255), "from 0 to 1, but those of the search had 0 to 255: use the same"),
        (noise(0, 255), (0, 1), "from 0 to 255, but those of the search had 0 to 1"),
        (noise(-1, 1), (0, 1), "from -1 to 1, but"),
        (noise(0, 255, np.uint8), (-50, 255), "may be values of -50 to 255 or stored images"),
        (np.zeros((2, 3)), (0, 1), "images have shape"),
        (np.full((1, 4, 4), np.nan), (0, 1), "NaN"),
    ],
)
def test_images_on_another_scale_are_refused(images, limits, says):
    with pytest.raises(InputError, match=says):
        stored_images(images, limits)


@pytest.mark.parametrize(
    ("own", "shape"),
    [
        ((40, 40, 5), (40, 40, 5)),
        ((28, 28, 1), (28, 28, 1)),
        ((28, 28), (28, 28, 1)),
        ((48, 64, 3), (32, 32, 3)),  # of another size, for a data set that resizes its images
    ],
)
def test_a_single_image_needs_a_first_axis(own, shape):
    image = np.zeros(own)
    with pytest.raises(InputError, match=rf"`images` have shape {re.escape(str(own))}.* x\[None\]"):
        check_several(image, shape)
    check_several(image[None], shape)


@pytest.mark.parametrize(
    ("own", "shape"),
    [
        ((28, 28, 28), (28, 28, 1)),
        ((40, 5), (40, 40, 5)),
        ((7, 128, 1), (128, 1, 1)),  # grey signals of length 128
        ((9, 32, 3), (32, 3, 3)),
    ],
)
def test_several_images_are_not_taken_for_one(own, shape):
    check_several(np.zeros(own), shape)


def test_bytes_that_cannot_be_values_are_stored_images_and_others_are_refused():
    """In ``Run.prepare`` and in ``xt.explain``."""
    stored_ones, limits = noise(0, 255, np.uint8), (230.7, 282.4)
    run = SimpleNamespace(value_range=limits, stored_images=None)
    np.testing.assert_array_equal(stored_images(stored_ones, limits), stored_ones)
    assert model_images(stored_ones, run) is stored_ones
    for function, known in ((stored_images, limits), (model_images, run)):
        with pytest.raises(InputError, match="uint8 may be values of 230.7 to 282.4 or stored"):
            function(noise(231, 255, np.uint8), known)


def test_prepared_images_that_are_prepared_again_are_reported():
    with pytest.warns(UserWarning, match="from 0 to 1 only, but .* Were they prepared already"):
        stored_images(noise(0, 1), (0, 16))


def test_digits_from_0_to_16_are_the_data_set_digits(tmp_path):
    """Bit for bit, so that they train as well."""
    raw, usual = load_digits(), load_dataset("digits")
    name = stored(tmp_path / "run", (raw.images, raw.target)).name
    np.savez(tmp_path / "mine.npz", x=raw.images.astype(np.int64), y=raw.target)
    for each in (name, f"npz:{tmp_path / 'mine.npz'}"):
        found = load_dataset(each)
        for part, wanted in usual.parts.items():
            np.testing.assert_array_equal(found.parts[part].images, wanted.images)
            np.testing.assert_array_equal(found.parts[part].labels, wanted.labels)


def test_bytes_and_floats_below_zero_are_scaled_alike(tmp_path):
    """The same value is the same level, whatever array it is in."""
    labels = np.arange(20) % 2
    bytes_ = np.full((20, 1, 3), 100, np.uint8)
    floats = np.tile(np.float32([-50, 100, 255]), (20, 1, 1))
    np.savez(tmp_path / "a.npz", x=bytes_, y=labels, x_test=floats, y_test=labels)
    data = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert (data.scaling.low, data.scaling.high) == (-50, 255)
    assert (data.train.images == data.test.images[0, 0, 1, 0]).all()
