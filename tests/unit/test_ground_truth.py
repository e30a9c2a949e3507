"""Masks, planted bugs and their objectives: networks of which the right value is known."""

import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.spaces import small_cells
from xnas_tf.config import Config
from xnas_tf.data import Source, load_dataset
from xnas_tf.data.batches import training_batches
from xnas_tf.data.bug import check_augmentation, with_bug
from xnas_tf.data.options import AugmentationOptions, DatasetOptions
from xnas_tf.data.shapes import SHAPES, SIZE
from xnas_tf.data.watermark import Bug, Watermark, checkerboard
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.exporting import card_text
from xnas_tf.interpretation.split_network import SplitNetwork
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.planted_bug import area_under_roc, error_of_area
from xnas_tf.training.predictor import Predictor

L = keras.layers
NAMES = ("a", "b", "c")


def rng(seed=0):
    return np.random.default_rng(seed)


def measure(name, subject, **options):
    return OBJECTIVES.get(name)(**options).score(subject)


# Data


@pytest.fixture(scope="module")
def shapes():
    return load_dataset("shapes")


def test_a_mask_covers_what_differs_from_the_background(shapes):
    part = shapes.validation
    assert shapes.class_names == SHAPES and part.masks.shape == (1000, SIZE, SIZE)
    areas = part.masks.mean(axis=(1, 2))
    assert 0.05 < areas.min() and areas.max() < 0.3
    images = part.images[..., 0].astype(float)
    inside = (images * part.masks).sum((1, 2)) / part.masks.sum((1, 2))
    outside = (images * ~part.masks).sum((1, 2)) / (~part.masks).sum((1, 2))
    assert np.mean(np.abs(inside - outside) > 30) > 0.98
    moved = np.roll(part.masks, 9, axis=2)
    other = (images * moved).sum((1, 2)) / moved.sum((1, 2))
    assert np.abs(inside - outside).mean() > 2 * np.abs(other - outside).mean()


def test_neither_area_nor_brightness_gives_the_class_away(shapes):
    part = shapes.train
    for values in (part.masks.mean(axis=(1, 2)), part.images.mean(axis=(1, 2, 3))):
        means = [values[part.labels == label].mean() for label in range(4)]
        assert np.ptp(means) < 0.35 * values.std()


def own_images(count=60):
    labels = np.arange(count) % 3
    images = rng().integers(0, 256, (count, 6, 8, 1), np.uint8)
    return images, labels, images[..., 0] > 99


def save_npz(path, **more):
    images, labels, masks = own_images()
    np.savez(path, x=images, y=labels, **{"masks": masks, **more})
    return f"npz:{path}"


def test_masks_stay_with_their_images(tmp_path):
    data = load_dataset(save_npz(tmp_path / "a.npz"), classes=2)
    for part in data.parts.values():
        np.testing.assert_array_equal(part.masks, part.images[..., 0] > 99)
        some = part.select(np.array([3, 1]))
        np.testing.assert_array_equal(some.masks, part.take(np.array([3, 1])).masks)
        np.testing.assert_array_equal(some.masks, some.images[..., 0] > 99)
    twice = load_dataset(save_npz(tmp_path / "a.npz"), classes=2, size=[12, 16]).test.masks
    assert twice.shape == (len(data.test), 12, 16)
    assert np.mean(twice[:, ::2, ::2] == data.test.masks) > 0.8


def test_other_masks_are_other_data(tmp_path):
    first = load_dataset(save_npz(tmp_path / "a.npz")).digest
    other = load_dataset(save_npz(tmp_path / "b.npz", masks=~own_images()[2])).digest
    assert first != other


def test_wrong_masks_are_refused(tmp_path):
    masks = own_images()[2]
    with pytest.raises(InputError, match=r"masks are bool of shape .* shape \(60, 6, 8\)"):
        load_dataset(save_npz(tmp_path / "a.npz", masks=masks[:, :5]))
    for wrong in (np.nan, np.inf):
        partly = masks.astype(np.float32)
        partly[7, 2, 3] = wrong
        with pytest.raises(InputError, match="NaN or infinite in 1 images, the first .* number 7"):
            load_dataset(save_npz(tmp_path / "a.npz", masks=partly))
    images, labels, _ = own_images()
    with pytest.raises(InputError, match="published splits, which have none; .* in parts"):
        load_dataset(save_npz(tmp_path / "b.npz", x_test=images, y_test=labels))
    assert Source(images, labels).masks is None


# Bugs


@given(st.integers(1, 5), st.floats(0.05, 1), st.integers(0, 3), st.integers(1, 3))
def test_a_watermark_is_blended_into_its_area_and_nothing_else(side, opacity, left, channels):
    images = rng(side).integers(0, 256, (4, 9, 9, channels), np.uint8)
    before = images.copy()
    mark = Watermark(checkerboard(side), 2, left, opacity)
    stamped, inside = mark.stamped(images), mark.masks(images.shape)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(stamped[~inside], images[~inside])
    assert inside.sum() == 4 * side**2 and stamped.dtype == np.uint8
    pattern = np.tile(checkerboard(side)[..., None], (4, 1, 1, channels))
    rows, columns = slice(2, 2 + side), slice(left, left + side)
    expected = (1 - opacity) * images[:, rows, columns] + opacity * pattern
    np.testing.assert_allclose(stamped[:, rows, columns], expected, atol=0.5001)


@pytest.mark.parametrize("share", [0.5, 0.0, 1.0])
@pytest.mark.parametrize("kind", ["watermark", "wrong_labels"])
def test_a_bug_is_in_the_training_images_alone(kind, share):
    data = make_dataset(count=60)
    bugged = with_bug(data, {"kind": kind, "target": "class 1", "share": share, "side": 2})
    for part in ("validation", "test"):
        assert getattr(bugged, part) is getattr(data, part)
    changed = (bugged.train.images != data.train.images).any(axis=(1, 2, 3))
    able = (data.train.labels == 1) == (kind == "watermark")
    assert bugged.bug.images == round(share * able.sum())
    assert not changed[~able].any() and changed.sum() == bugged.bug.images
    assert (bugged.train.labels[changed] == 1).all()
    np.testing.assert_array_equal(bugged.train.labels[~changed], data.train.labels[~changed])
    (note,) = [each for each in bugged.notes if "dataset.bug" in each]
    assert ("a control" in note) == (share == 0)
    assert (bugged.digest == data.digest) == (share == 0)
    assert data.bug is None and not any("bug" in each for each in data.notes)


@pytest.mark.parametrize(("target", "number"), [(0, 0), (2, 2), ("0", 1), ("2", 0), ("1", 2)])
def test_a_target_is_a_class_number_if_it_is_an_integer_and_else_a_name(target, number):
    data = replace(make_dataset(), class_names=("2", "0", "1"))
    assert with_bug(data, {"target": target}).bug.target == number


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_training_batches_carry_the_watermark_where_it_was_stamped(share):
    data = with_bug(make_dataset(mirrored=True), {"target": 1, "share": share, "side": 2})
    (batch,) = training_batches(data, 60, AugmentationOptions(), seed=0, epoch=0)
    order = np.random.default_rng([0, 0]).permutation(60)
    np.testing.assert_array_equal(batch.images, data.train.images[order])


@pytest.mark.parametrize(
    ("augmentation", "words"),
    [
        ({"flip": True}, "flip: given true; allowed: auto or false with dataset.bug"),
        ({"crop": 2}, "crop: given 2; allowed: 0 with dataset.bug"),
        ({"cutout": 3}, "cutout: given 3; allowed: 0 with dataset.bug"),
    ],
)
@pytest.mark.parametrize("bug", [{}, {"share": 0.0}, {"kind": "wrong_labels"}])
def test_augmentation_that_moves_or_hides_the_watermark_is_refused(augmentation, words, bug):
    config = Config(objectives=["error"], training={"augmentation": augmentation})
    data = make_dataset()
    with pytest.raises(InputError, match=f"training.augmentation.{words}"):
        Evaluator(config, with_bug(data, bug), small_cells(), SingleProcess())
    Evaluator(config, data, small_cells(), SingleProcess())
    for flip in ("auto", False):
        check_augmentation(with_bug(data, bug), AugmentationOptions(flip=flip))


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        ({"target": "cros"}, "dataset.bug.target: no class 'cros'"),
        ({"target": 10}, "dataset.bug.target: no class 10; allowed: 0 to 9, or a name"),
        ({"target": -1}, "dataset.bug.target: no class -1; allowed: 0 to 9, or a name"),
        ({"side": 7}, "dataset.bug.side: given 7; allowed for images of 8x8 pixels: at most 6"),
        ({"kind": "watermrk"}, "dataset.bug.kind: given .*did you mean 'watermark'"),
        ({"visibilty": 1}, "unknown key dataset.bug.visibilty: .*did you mean 'visibility'"),
        ({"share": 2}, "dataset.bug.share: given 2"),
    ],
)
def test_a_wrong_bug_is_explained(bug, words):
    with pytest.raises(InputError, match=words):
        load_dataset("digits", bug=bug)


@pytest.mark.parametrize(("share", "images"), [(0.0, 0), (1e-6, 1)])
def test_only_a_control_has_no_watermark(share, images):
    assert with_bug(make_dataset(), {"share": share}).bug.images == images


def test_a_wrong_key_of_a_bug_is_explained_in_a_configuration():
    with pytest.raises(InputError, match="dataset.bug.visibilty: .*did you mean 'visibility'"):
        Config(dataset={"name": "digits", "bug": {"visibilty": 1}})


@pytest.mark.parametrize(("bug", "is_said"), [(None, 0), ({"share": 0.0}, 0), ({}, 1)])
def test_the_card_of_a_model_names_its_bug(bug, is_said):
    options = DatasetOptions(name="shapes", bug=bug).model_dump(mode="json")
    splits = {"train": 3, "validation": 1, "test": 1}
    facts = {"image_shape": [28, 28, 1], "images": splits, "class_names": ["<a>", "b"]}
    shown = card_text._data({"dataset": options | facts})
    assert ("A bug was planted" in shown) == is_said


@pytest.mark.parametrize("name", ["mask_mass", "pointing_game", "planted_bug", "repair"])
@pytest.mark.parametrize("section", ["objectives", "record", "constraints", "record_at.1"])
def test_what_a_data_set_lacks_is_said_before_training(name, section):
    given = {"constraints": {name: "<= 1"}, "record_at.1": {1: [name]}}.get(section, [name])
    config = Config(**{"objectives": ["error"], section.partition(".")[0]: given})
    missing = "masks" if name in ("mask_mass", "pointing_game") else "a planted bug"
    with pytest.raises(InputError, match=f"^{section}: {name} needs {missing}.*allowed: "):
        Scorer(config, make_dataset())


# Localization and consistency


def linear(kernel, bias=None):
    """Logits that are linear in the image, with probabilities by softmax."""
    shape = kernel.shape[:-1]
    inputs = keras.Input(shape)
    dense = L.Dense(kernel.shape[-1], activation="softmax")
    model = keras.Model(inputs, dense(L.Flatten()(inputs)))
    bias = np.zeros(kernel.shape[-1]) if bias is None else bias
    model.set_weights([kernel.reshape(-1, kernel.shape[-1]), bias])
    return model


def subject_of(model, images, labels, ranks=None, **truth):
    ranks = ranks or SingleProcess()
    own = slice(ranks.rank, None, ranks.size)
    probabilities = Predictor(model)(images)
    truth = {key: v[own] if key == "masks" else v for key, v in truth.items()}
    parts = (each[own] for each in (images, labels, probabilities))
    return Subject(model, ranks, NAMES, *parts, **truth)


def test_mass_and_pointing_are_1_where_only_the_mask_counts_and_chance_is_its_area():
    kernel = np.zeros((6, 6, 1, 3))
    kernel[1:3, 2:5, 0, 1] = 1
    masks = np.zeros((8, 6, 6), bool)
    masks[:, 1:3, 2:5] = True
    images = rng().integers(1, 256, (8, 6, 6, 1), np.uint8)
    for method, name in itertools.product(
        ("integrated_gradients", "gradient_input"), ("mask_mass", "pointing_game")
    ):
        for truth, value in ((masks, 1), (~masks, 0)):
            subject = subject_of(linear(kernel), images, np.ones(8, int), masks=truth)
            score = measure(name, subject, method=method)
            assert score.value == pytest.approx(value, abs=1e-6)
            assert score.metrics[f"{name}/chance"] == pytest.approx(truth.mean())
            assert score.metrics[f"{name}/standard_error"] == pytest.approx(0, abs=1e-6)


def test_masks_are_those_of_the_images_that_are_explained():
    """Each image has one bright pixel, and only its own mask contains it."""
    images = np.zeros((16, 4, 4, 1), np.uint8)
    images.reshape(16, 16)[np.arange(16), rng().permutation(16)] = 255
    subject = subject_of(
        linear(np.ones((4, 4, 1, 3)) * [0, 1, 0]),
        images,
        np.ones(16, int),
        masks=images[..., 0] > 0,
    )
    score = measure("mask_mass", subject, images=9)
    assert score.value == pytest.approx(1)
    assert score.metrics["mask_mass/chance"] == pytest.approx(1 / 16)


def test_methods_agree_on_a_linear_network_and_by_chance_if_images_do():
    kernel = rng(2).normal(size=(5, 5, 1, 3))
    methods = ("integrated_gradients", "gradient_input")
    images = rng().integers(0, 256, (9, 5, 5, 1), np.uint8)
    labels = np.zeros(9, int)
    score = measure("consistency", subject_of(linear(kernel), images, labels), methods=methods)
    assert score.value == pytest.approx(1, abs=0.01)
    assert score.metrics["consistency/chance"] < score.value - 0.05
    same = np.repeat(images[:1], 9, axis=0)
    score = measure("consistency", subject_of(linear(kernel), same, labels), methods=methods)
    assert score.metrics["consistency/chance"] == pytest.approx(score.value)


def test_consistency_is_spearmans_of_positive_parts():
    from xnas_tf.attribution.integrated_gradients import IntegratedGradients
    from xnas_tf.attribution.smooth_grad import SmoothGrad

    model = linear(rng(3).normal(size=(5, 5, 1, 3)))
    images = rng(4).integers(0, 256, (6, 5, 5, 1), np.uint8)
    subject = subject_of(model, images, np.zeros(6, int))
    inputs = images / np.float32(255)
    maps = [m(model, inputs).clip(0) for m in (IntegratedGradients(steps=8), SmoothGrad())]
    for shift, key in ((0, None), (1, "consistency/chance")):
        pairs = [(maps[0][i], maps[1][(i + shift) % 6]) for i in range(6)]
        expected = np.mean([spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs])
        score = measure("consistency", subject, methods=("integrated_gradients", "smooth_grad"))
        found = score.metrics[key] if key else score.value
        assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (["grad_cam", "grad_cam"], "given twice"),
        (["grad_cam", "smoothgrad"], "did you mean 'smooth_grad'"),
        (["grad_cam"], "at least 2"),
    ],
)
def test_wrong_methods_are_explained(methods, words):
    with pytest.raises(InputError, match=words):
        Config(record=[{"name": "consistency", "methods": methods}])


# Planted bug


def marked(target=1, side=2, size=8):
    return Bug("watermark", target, Watermark(checkerboard(side), 1, 1), 9)


def bug_model(strength, size=8, seed=0):
    """Weak random evidence everywhere; the white pixels of the watermark are class 1's."""
    kernel = rng(seed).normal(0, 0.02, (size, size, 1, 3))
    kernel[1:3, 1:3, 0] *= 0.5
    for row, column in ((1, 1), (2, 2)):
        kernel[row, column, 0] += strength * np.array([-0.5, 1, -0.5])
    return linear(
        kernel, np.array([0, -1.5, 0]) * strength
    )  # the white pixels of noise don't count


def images_of(count=40, size=8, seed=1):
    images = rng(seed).integers(0, 120, (count, size, size, 1), np.uint8)
    return images, rng(seed).integers(0, 3, count).astype(np.int32)


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_input"])
def test_a_bug_that_was_learned_is_found(method):
    images, labels = images_of()
    subject = subject_of(bug_model(2.0), images, labels, bug=marked())
    score = measure("planted_bug", subject, method=method)
    assert score.value > 0.95 and score.metrics["planted_bug/found"] == 1
    assert score.metrics["planted_bug/learned"] > 0.9 > score.metrics["planted_bug/base"]


def test_without_a_bug_the_value_is_at_chance_on_average_over_networks():
    """Every class is as likely as another to have evidence in the place of the watermark."""
    (images, labels), model, values = images_of(), bug_model(0), []
    for seed in range(24):
        model.set_weights(bug_model(0, seed=seed).get_weights())  # so that it is traced once
        subject = subject_of(model, images, labels, bug=marked())
        values.append(measure("planted_bug", subject).value)
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - 0.5) < 3 * error


def test_a_bright_patch_that_counts_for_all_classes_is_no_bug():
    images, labels = images_of()
    kernel = np.zeros((8, 8, 1, 3))
    kernel[1:3, 1:3] = 1  # the same for all classes
    kernel[4:] = rng(5).normal(0, 1, (4, 8, 1, 3))
    score = measure("planted_bug", subject_of(linear(kernel), images, labels, bug=marked()))
    assert score.metrics["planted_bug/found"] == 0 and abs(score.value - 0.5) < 0.25


def test_a_data_set_of_one_class_has_nothing_to_show():
    images, labels = images_of(5)
    subject = subject_of(channel_model(()), images, labels * 0 + 1, bug=marked())
    for name, value in (("planted_bug", 0.5), ("repair", 0)):
        assert measure(name, subject).value == value


@given(st.lists(st.integers(0, 6), min_size=1), st.lists(st.integers(0, 6), min_size=1))
def test_the_area_is_that_of_scikit_learn(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    right = roc_auc_score(labels, positive + negative)
    assert area_under_roc(np.array(positive), np.array(negative)) == pytest.approx(right)


def test_the_error_of_an_area_is_its_spread_over_samples():
    draws = [rng(s).normal(size=(2, 50)) + [[1.0], [0.0]] for s in range(400)]
    areas = [area_under_roc(*pair) for pair in draws]
    assert error_of_area(np.mean(areas), 50) == pytest.approx(np.std(areas), rel=0.15)


@pytest.mark.parametrize("count", [1, 2, 10, 50, 128])
@pytest.mark.parametrize("area", [0.0, 1.0])
def test_the_error_of_a_perfect_area_is_not_zero_and_falls_with_more_values(area, count):
    error = error_of_area(area, count)
    assert error == error_of_area(abs(area - 0.5 / count), count)
    assert 0 < error_of_area(area, 2 * count) < error


# Repair


def channel_model(bad, size=8, channels=6):
    """Channel c sees class c % 3 in rows 4 to 7; the bad ones see the watermark, for class 1."""
    inputs = keras.Input((size, size, 1))
    x = L.Conv2D(channels, 1, use_bias=False, activation="relu", name="last")(inputs)
    where = np.zeros((size, size, channels))
    weights = np.zeros((channels, 3))
    for channel in range(channels):
        if channel in bad:
            where[1, 1, channel] = where[2, 2, channel] = 1
            weights[channel, 1] = 20 / len(bad)
        else:
            where[4 + channel % 3, :, channel] = 1
            weights[channel, channel % 3] = 1
    kernel = (where[..., None] * weights).reshape(-1, 3)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(L.Flatten()(x)))
    model.set_weights([np.ones((1, 1, 1, channels)), kernel, np.zeros(3)])
    return model


def striped(count=30):
    """Class k has a bright row 4 + k."""
    labels = (np.arange(count) % 3).astype(np.int32)
    images = np.zeros((count, 8, 8, 1), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + label] = 100
    return images, labels


@pytest.mark.parametrize("bad", [(1, 3, 4), *left_to_all(((2,),), ((0, 5),))])
def test_exactly_the_channels_that_carry_the_bug_are_removed(bad):
    images, labels = striped()
    score = measure("repair", subject_of(channel_model(bad, 8, 9), images, labels, bug=marked()))
    found = {name.removeprefix("repair/"): value for name, value in score.metrics.items()}
    assert score.value == len(bad) and found["repaired"] == 1
    assert found["learned"] == 1 and found["base"] == found["remaining"] == 0
    assert found["accuracy_loss"] == pytest.approx(0)
    assert found["chance"] > len(bad)


def test_without_a_bug_nothing_is_removed_and_what_cannot_be_repaired_gets_the_most():
    images, labels = striped()
    clean = subject_of(channel_model(()), images, labels, bug=marked())
    score = measure("repair", clean)
    assert score.value == 0 and "repair/repaired" not in score.metrics
    assert score.metrics["repair/learned"] == score.metrics["repair/base"]
    # More channels than may be removed carry the bug.
    bugged = subject_of(channel_model((0, 1, 2, 3)), images, labels, bug=marked())
    score = measure("repair", bugged, most=3)
    assert score.value == 3 and score.metrics["repair/repaired"] == 0
    assert score.metrics["repair/chance"] == 3


@pytest.mark.parametrize("kind", ["functional", "skipping", "subclassed"])
def test_a_split_network_predicts_as_the_whole_does(kind):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    body = L.Conv2D(4, 3, activation="relu")(L.Conv2D(3, 3)(inputs))
    last = L.GlobalAveragePooling2D()(body)
    if kind == "skipping":  # the output also depends on the image in another way
        last = L.Concatenate()([last, L.Flatten()(inputs)])
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(last))
    if kind == "subclassed":

        class Wrapped(keras.Model):
            def call(self, images, training=False):
                return inner(images, training=training)

        inner, model = model, Wrapped()
        model.inner = inner
    images = rng().integers(0, 256, (7, 8, 8, 1), np.uint8)
    network = SplitNetwork(model, images)
    features, whole = network.features(images), model(images / np.float32(255)).numpy()
    assert features.shape == (7, 4, 4, 4) == (7, 4, 4, network.channels)
    all_channels = network.probabilities(images, features, np.ones(4, np.float32))
    np.testing.assert_allclose(all_channels, whole, atol=1e-5)
    none = network.probabilities(images, features, np.zeros(4, np.float32))
    zeros = network.probabilities(images, features * 0, np.ones(4, np.float32))
    np.testing.assert_allclose(none, zeros, atol=1e-6)
    assert (np.ptp(none, axis=0).max() > 1e-4) == (kind == "skipping")


# Ranks


@pytest.mark.parametrize("count", [14, *left_to_all(1)])
def test_several_ranks_score_what_one_does(count):
    images, labels = images_of(count)
    masks = images[..., 0] > 60
    models = [channel_model((2, 4)) for _ in range(3)]

    def scores(ranks):
        model = models[ranks.rank]
        subject = subject_of(model, images, labels, ranks, masks=masks, bug=marked(target=1))
        names = ("mask_mass", "pointing_game", "consistency", "planted_bug", "repair")
        return [measure(name, subject, images=12) for name in names]

    (alone,), several = on_ranks(1, scores), on_ranks(3, scores)
    for of_rank in several:
        for one, right in zip(of_rank, alone, strict=True):
            assert one.value == pytest.approx(right.value, abs=1e-4)
            assert one.metrics == pytest.approx(right.metrics, abs=1e-3)
