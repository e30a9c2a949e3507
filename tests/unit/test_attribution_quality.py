"""Analytic oracles: models and maps on which the right value of each measure is known."""

import functools
import gc
import math
import weakref

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.conftest import left_to_all
from tests.ranks import on_ranks
from xnas_tf.attribution import integrated_gradients
from xnas_tf.attribution import metrics as quality
from xnas_tf.attribution.gradient_input import GradientInput
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.metrics.faithfulness import replacement_curves
from xnas_tf.attribution.metrics.scores import Scores
from xnas_tf.attribution.metrics.statistics import pearson, spearman
from xnas_tf.attribution.outputs import PROBABILITIES
from xnas_tf.attribution.smooth_grad import SmoothGrad
from xnas_tf.errors import InputError
from xnas_tf.objectives import OBJECTIVES, attribution_quality
from xnas_tf.objectives.attribution_quality import MaxSensitivity
from xnas_tf.objectives.base import Subject

SHAPE = (6, 5, 2)
NAMES = ("completeness_error", "deletion", "infidelity", "insertion", "max_sensitivity")
NAMES += ("randomization", "sensitivity_n", "sparseness")
OPTIONS = {"deadline": None, "max_examples": 6}
L = keras.layers


def rng(seed=0):
    return np.random.default_rng(seed)


def images_of(shape=SHAPE, count=9, seed=1):
    return rng(seed).random((count, *shape), np.float32)


@functools.cache  # with what was traced
def linear_model(outputs=3, activation="softmax", shape=SHAPE, seed=0):
    inputs = keras.Input(shape)
    ending = L.Dense(outputs, activation=activation)
    model = keras.Model(inputs, ending(L.Flatten()(inputs)))
    model.set_weights([rng(seed).normal(size=w.shape) for w in model.get_weights()])
    return model


@functools.cache
def network(shape=SHAPE, seed=0, activation="softmax"):
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape)
    x = L.Conv2D(6, 3, padding="same", name="low")(x)
    x = L.ReLU()(L.BatchNormalization()(x))
    x = L.Conv2D(6, 3, activation="relu", name="high")(x)
    x = L.Dense(3, activation=activation, name="top")(L.Flatten()(x))
    model = keras.Model(inputs, x)
    model.set_weights([w + rng(1).normal(0, 0.1, w.shape) ** 2 for w in model.get_weights()])
    return model


def patch_model(size=8):
    """Class 1 exactly where the square [2:5, 3:6] is bright enough; else class 0."""
    inputs = keras.Input((size, size, 1))
    model = keras.Model(inputs, L.Dense(2, activation="softmax")(L.Flatten()(inputs)))
    square = np.zeros((size, size), np.float32)
    square[2:5, 3:6] = 1
    kernel = np.stack([np.zeros(size * size), square.ravel()], axis=1)
    model.set_weights([kernel, np.array([4.5, 0.0])])
    return model, square


# Completeness


@pytest.mark.parametrize(
    ("activation", "baseline"), [("softmax", "zero"), ("sigmoid", "blurred"), (None, "noise")]
)
def test_completeness_holds_for_linear_models(activation, baseline):
    method = IntegratedGradients(steps=2, baseline=baseline, seed=3)
    outputs = 1 if activation == "sigmoid" else 3
    model = linear_model(outputs, activation)
    errors = quality.completeness_error(model, images_of(), 1, method=method)
    assert errors.absolute.shape == errors.relative.shape == (9,)
    assert errors.absolute.max() < 1e-5 and errors.relative.max() < 1e-3


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_completeness_error_shrinks_with_the_steps(output):
    errors = [
        quality.completeness_error(
            network(), images_of(), method=IntegratedGradients(steps=steps, output=output)
        )
        for steps in (1, 100)
    ]
    assert errors[1].relative.mean() < errors[0].relative.mean() / 5
    assert errors[1].absolute.mean() < errors[0].absolute.mean() / 5


# Deletion and insertion


def test_the_right_map_deletes_sooner_and_inserts_sooner_than_a_random_one():
    model, square = patch_model()
    images = np.full((6, 8, 8, 1), 0.8, np.float32)
    right = np.tile(square, (6, 1, 1))
    random, wrong = rng().random(right.shape), -right
    deleted = [quality.deletion(model, images, maps) for maps in (right, random, wrong)]
    assert (deleted[0] < deleted[1]).all() and (deleted[1] < deleted[2]).all()
    # a sharp picture comes into a black one: the even one would be the same when blurred
    options = {"targets": 1, "baseline": "zero"}
    put = [quality.insertion(model, images, maps, **options) for maps in (right, random, wrong)]
    assert (put[0] > put[1]).all() and (put[1] > put[2]).all()


def curves_of(before, after, maps, steps, targets="predicted"):
    scores = Scores(linear_model(), after if after.any() else before, targets, PROBABILITIES)
    return replacement_curves(scores, before, after, maps, steps)


def test_curves_are_what_replacing_pixels_one_by_one_gives():
    model, images = linear_model(), images_of(count=3)
    maps = rng(5).normal(size=images.shape[:3])
    curves, _ = curves_of(images, images * 0, maps, 30, 2)
    inserted, _ = curves_of(images * 0, images, maps, 30, 2)
    for image, map_, down, up in zip(images, maps, curves, inserted, strict=True):
        left, come = image.copy(), np.zeros_like(image)
        for k, pixel in enumerate([None, *np.argsort(-map_.ravel())]):
            if pixel is not None:
                place = np.unravel_index(pixel, map_.shape)
                come[place], left[place] = left[place], 0
            both = model(np.stack([left, come])).numpy()[:, 2]
            np.testing.assert_allclose([down[k], up[k]], both, atol=1e-5)
    area = quality.deletion(model, images, maps, 2, steps=30)
    np.testing.assert_allclose(area, (curves[:, :-1] + curves[:, 1:]).mean(axis=1) / 2)


def test_areas_are_over_shares_of_pixels_whatever_the_number_of_channels():
    """30 pixels in 7 steps: these are not equally wide, and channels don't change how wide."""
    model, images = linear_model(), images_of(count=3)
    assert images.shape[3] > 1
    maps = rng(6).normal(size=images.shape[:3])
    shares = np.linspace(0, 30, 8).round() / 30
    for measure, ends in (
        (quality.deletion, (images, images * 0)),
        (quality.insertion, (images * 0, images)),
    ):
        found = measure(model, images, maps, steps=7, baseline="zero")
        heights, found_shares = curves_of(*ends, maps, 7)
        np.testing.assert_allclose(found_shares, shares)
        areas = (heights[:, 1:] + heights[:, :-1]) / 2 * np.diff(shares)
        np.testing.assert_allclose(found, areas.sum(axis=1))


@settings(**OPTIONS)
@given(st.integers(1, 70), st.integers(0, 99))
def test_curves_start_and_end_where_they_should(steps, seed):
    model, images = linear_model(), images_of(count=4)
    maps = rng(seed).integers(0, 3, images.shape[:3])  # many ties
    curves, _ = curves_of(images, images * 0, maps, steps)
    probabilities = model(images).numpy()
    predicted = probabilities.argmax(axis=1)
    assert curves.shape == (4, min(steps, 30) + 1) and (0 <= curves).all() and (curves <= 1).all()
    np.testing.assert_allclose(curves[:, 0], probabilities.max(axis=1), atol=1e-6)
    black = model(images * 0).numpy()[np.arange(4), predicted]
    np.testing.assert_allclose(curves[:, -1], black, atol=1e-6)
    again, _ = curves_of(images, images * 0, maps * 2.0 + 1, steps)
    np.testing.assert_array_equal(curves, again)  # only the order counts


@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_are_turned_into_probabilities(outputs):
    images, maps = images_of(), rng().random((9, 6, 5))
    ending = "sigmoid" if outputs == 1 else "softmax"
    ways = [linear_model(outputs, activation) for activation in (ending, None)]
    values = [quality.deletion(model, images, maps, 1) for model in ways]
    np.testing.assert_allclose(*values, atol=1e-5)


# Sensitivity-n and infidelity


@settings(**OPTIONS)
@given(st.integers(0, 2), st.sampled_from(["zero", "mean", "noise"]), st.integers(1, 29))
def test_weight_times_change_is_perfect_for_a_linear_model(seed, baseline, n):
    model, images = linear_model(seed=seed), images_of(seed=seed + 1)
    maps = IntegratedGradients(steps=1, baseline=baseline)(model, images, 0)
    options = {"rng": rng(seed), "baseline": baseline}
    right = quality.sensitivity_n(model, images, maps, 0, n=n, subsets=20, **options)
    np.testing.assert_allclose(right, 1, atol=1e-3)
    upside_down = quality.sensitivity_n(model, images, -maps, 0, n=n, subsets=20, **options)
    np.testing.assert_allclose(upside_down, -1, atol=1e-3)
    errors = quality.infidelity(model, images, maps, 0, **options)
    assert errors.absolute.max() < 1e-8 and errors.relative.max() < 1e-6


def test_infidelity_of_no_map_is_the_mean_squared_fall():
    model, images = linear_model(), images_of()
    empty = np.zeros(images.shape[:3])
    errors = quality.infidelity(model, images, empty, rng=rng(), perturbations=200)
    assert (errors.absolute > 0).all()
    np.testing.assert_allclose(errors.relative, 1)
    maps = GradientInput()(model, images)
    twice = quality.infidelity(model, images, 2 * maps, rng=rng(), perturbations=200)
    np.testing.assert_allclose(twice.absolute, errors.absolute, rtol=1e-4)


def test_random_maps_are_less_faithful():
    model, images = network(), images_of()
    maps = IntegratedGradients()(model, images)
    random = rng(7).permuted(maps.reshape(9, -1), axis=1).reshape(maps.shape)
    faithful, not_faithful = (
        quality.sensitivity_n(model, images, each, n=6, rng=rng()) for each in (maps, random)
    )
    assert faithful.mean() > 0.8 > 0.5 > not_faithful.mean()
    right, wrong = (
        quality.infidelity(model, images, each, rng=rng()).relative for each in (maps, random)
    )
    assert right.mean() < wrong.mean() / 2


def test_what_does_not_vary_is_not_correlated():
    model, images = linear_model(), images_of()
    maps = GradientInput()(model, images)
    options = {"rng": rng(), "subsets": 8}
    for even in (np.zeros_like(maps), np.full_like(maps, 0.1)):
        assert not quality.sensitivity_n(model, images, even, n=4, **options).any()
    assert not quality.sensitivity_n(model, images, maps, n=30, **options).any()
    flat = linear_model.__wrapped__()
    flat.layers[-1].set_weights([np.zeros((60, 3)), np.array([0.1, 7.3, 0.2])])
    assert not quality.sensitivity_n(flat, images, maps, n=4, **options).any()
    assert not np.any(quality.infidelity(flat, images, maps * 0, rng=rng()))
    assert not np.any(quality.completeness_error(flat, images))


# Stability


def constant_maps(model, images, targets):
    return np.ones(images.shape[:3], np.float32)


def test_maps_of_probabilities_are_measured_where_the_logits_are_unknown():
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.dense = L.Flatten(), L.Dense(3)

        def call(self, images):
            return keras.ops.softmax(self.dense(self.flat(images)))

    model, method = Hidden(), GradientInput(output="probabilities")
    changes = quality.max_sensitivity(model, images_of(), method, rng=rng())
    correlations = quality.randomization(model, images_of(), method, rng=rng())
    assert (changes > 0).all() and np.isfinite(correlations).all()


def test_a_map_that_never_changes_is_perfectly_stable():
    model, images = network(), images_of()
    for method in (constant_maps, lambda *given: 0 * constant_maps(*given)):
        assert not quality.max_sensitivity(model, images, method, rng=rng()).any()


class Nothing(IntegratedGradients):
    """Integrated gradients that are 0 everywhere."""

    def __call__(self, model, images, targets="predicted"):
        return 0 * super().__call__(model, images, targets)


@pytest.mark.parametrize(
    "name",
    ["deletion", "randomization", *left_to_all(*sorted({*NAMES} - {"deletion", "randomization"}))],
)
def test_empty_maps_never_win_an_objective(name, monkeypatch):
    """Unlike the measure alone, to which a map that is always empty is perfectly stable."""
    objective = OBJECTIVES.get(name)(images=5)
    (real,) = on_ranks(1, lambda one: objective.score(subject_of(network(), one, 5)))
    monkeypatch.setattr(attribution_quality, "method_with_steps", lambda *_: Nothing(steps=2))
    monkeypatch.setattr(integrated_gradients, "IntegratedGradients", Nothing)
    (empty,) = on_ranks(1, lambda one: objective.score(subject_of(network(), one, 5)))
    assert empty.value == pytest.approx(objective.worst)
    sign = 1 if objective.direction == "minimize" else -1
    assert sign * real.value < sign * empty.value


def test_sensitivity_grows_with_the_radius_and_the_samples():
    model, images = network(), images_of()

    def mean(radius, samples):
        options = {"radius": radius, "samples": samples, "rng": rng()}
        values = quality.max_sensitivity(model, images, GradientInput(), **options)
        assert (0 < values).all() and (values <= 2).all()
        return values.mean()

    assert mean(0.001, 2) < mean(0.01, 2) < mean(0.1, 2) < mean(0.1, 6)


def test_sensitivity_of_a_linear_model_is_the_noise_that_its_weights_let_through():
    model, images = linear_model(), images_of()
    found = quality.max_sensitivity(
        model, images, GradientInput(), 2, rng=rng(3), radius=0.1, samples=1
    )
    kernel = model.get_weights()[0][:, 2].reshape(SHAPE)
    noise = rng(3).uniform(-0.1, 0.1, SHAPE)
    sizes = [
        np.linalg.norm((kernel * part).sum(axis=-1), axis=(-2, -1))
        for part in (noise, images, images + noise)
    ]
    np.testing.assert_allclose(found, sizes[0] / np.maximum(*sizes[1:]), rtol=1e-3)


# Randomisation


def edges(model, images, targets):
    """What an edge detector sees, whatever the model."""
    return np.hypot(*np.gradient(images.mean(axis=-1), axis=(1, 2)))


def weights_of(model):
    return [w.numpy().tobytes() for w in model.weights]


def test_randomisation_changes_gradients_but_no_edges():
    model, images = network((10, 10, 1)), images_of((10, 10, 1))
    before, outputs = weights_of(model), model(images).numpy()
    gradient = SmoothGrad(samples=1, noise=0)
    correlations = quality.randomization(model, images, gradient, rng=rng())
    assert correlations.shape == (4, 9)
    assert np.abs(correlations[-1]).mean() < 0.4
    same = quality.randomization(model, images, edges, rng=rng(), stages=2)
    np.testing.assert_allclose(same, np.ones((2, 9)))
    assert not quality.randomization(model, images, constant_maps, rng=rng()).any()
    assert weights_of(model) == before
    np.testing.assert_array_equal(model(images), outputs)


def randomized_layers(model, **options):
    """The names of the layers that each stage randomises in addition to earlier ones."""
    intact = [w.numpy() for w in model.weights]
    seen = []

    def method(model, images, targets):
        pairs = zip(model.weights, intact, strict=True)
        seen.append({w.path.split("/")[-2] for w, old in pairs if not np.array_equal(w, old)})
        return constant_maps(model, images, targets)

    quality.randomization(model, images_of(), method, rng=rng(), **options)
    assert not seen[0]
    return [after - before for before, after in zip(seen, seen[1:], strict=False)]


def test_each_stage_randomises_from_the_top_and_keeps_the_size_of_kernels():
    model, images = network(), images_of()
    intact = {w.path: w.numpy() for w in model.weights}
    seen = []

    def method(model, images, targets):
        seen.append({w.path for w in model.weights if not np.array_equal(w, intact[w.path])})
        for weight in model.weights:
            if len(weight.shape) == 4:
                ratio = np.std(weight) / np.std(intact[weight.path])
                assert 0.6 < ratio < 1.6
            if "variance" in weight.path:
                assert np.min(weight) > 0
        return constant_maps(model, images, targets)

    quality.randomization(model, images, method, rng=rng())
    assert not seen[0] and all(a < b for a, b in zip(seen, seen[1:], strict=False))
    assert {path.split("/")[0] for path in seen[1]} == {"top"}
    assert seen[-1] == set(intact)
    norm = next(layer.name for layer in model.layers if "batch" in layer.name)
    assert randomized_layers(model) == [{"top"}, {"high"}, {norm}, {"low"}]
    assert randomized_layers(model, stages=2) == [{"top", "high"}, {norm, "low"}]


def test_weights_come_back_when_the_method_fails():
    model, images = network(), images_of()
    before, calls = weights_of(model), []

    def fails(model, images, targets):
        calls.append(weights_of(model))
        if len(calls) > 2:
            raise KeyboardInterrupt
        return constant_maps(model, images, targets)

    with pytest.raises(KeyboardInterrupt):
        quality.randomization(model, images, fails, rng=rng())
    assert calls[-1] != before and weights_of(model) == before


class Inner(L.Layer):
    """Weights of its own and a layer inside."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(5, 6), initializer="ones", name="scale")
        self.inner = L.Dense(4, name="inner")
        self.inner.build((None, 60))

    def call(self, images):
        scaled = images * keras.ops.transpose(self.scale)[None, :, :, None]
        return self.inner(keras.ops.reshape(scaled, (-1, 60)))


def test_layers_inside_layers_are_randomised_on_their_own():
    inputs = keras.Input(SHAPE)
    part = keras.Sequential([keras.Input((4,)), L.Dense(4, name="nested"), L.Dense(3, name="end")])
    model = keras.Model(inputs, part(Inner(name="outer")(inputs)))
    assert randomized_layers(model) == [{"end"}, {"nested"}, {"outer"}, {"inner"}]


# Localisation and sparseness


def test_mass_and_pointing_of_constructed_maps():
    maps, masks = np.zeros((5, 4, 4)), np.zeros((5, 4, 4))
    masks[:, :2, :2] = 255
    maps[0, 0, 1] = 3  # all of it inside
    maps[1, 0, 0], maps[1, 3, 3], maps[1, 2, 2] = 1, 3, -9  # a quarter; the maximum outside
    maps[2, 1, 2] = 1  # outside, by one pixel
    maps[3] = 0.7  # even
    np.testing.assert_allclose(quality.attribution_mass(maps, masks), [1, 0.25, 0, 0.25, 0])
    np.testing.assert_allclose(quality.pointing_game(maps, masks), [1, 0, 0, 0.25, 0.25])
    near = quality.pointing_game(maps, masks, tolerance=1)
    np.testing.assert_allclose(near, [1, 0, 1, 0.5, 0.5])
    assert not quality.pointing_game(maps, masks * 0, tolerance=9).any()
    with pytest.raises(InputError, match="the same shape"):
        quality.attribution_mass(maps, masks[0])


@settings(**OPTIONS)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_sparseness_is_the_gini_index(seed, scale):
    maps = rng(seed).normal(size=(3, 4, 5)) ** 3
    values = np.abs(maps).reshape(3, -1)
    pairs = np.abs(values[:, :, None] - values[:, None]).mean(axis=(1, 2))
    right = pairs / values.mean(axis=1) / 2  # half the relative mean difference
    np.testing.assert_allclose(quality.sparseness(maps), right)
    np.testing.assert_allclose(quality.sparseness(-scale * maps), right)


def test_sparseness_of_known_maps():
    one_hot = np.zeros((1, 4, 5))
    one_hot[0, 2, 2] = -3
    assert quality.sparseness(one_hot) == pytest.approx(1 - 1 / 20)
    for even in (0.0, 0.3):
        assert quality.sparseness(np.full((1, 4, 5), even)) == pytest.approx(0, abs=1e-12)


# What holds for all


@settings(**OPTIONS)
@given(st.integers(0, 10**6))
def test_correlations_are_scipys(seed):
    import scipy.stats

    one = rng(seed).integers(0, 6, (4, 20)).astype(float)
    other = rng(seed + 1).normal(size=(4, 20))
    for ours, theirs in ((pearson, scipy.stats.pearsonr), (spearman, scipy.stats.spearmanr)):
        right = [theirs(a, b).statistic for a, b in zip(one, other, strict=True)]
        np.testing.assert_allclose(ours(one, other), right, atol=1e-9)


MEASURES = {
    "completeness_error": lambda m, x, maps, t: quality.completeness_error(m, x, t).relative,
    "deletion": quality.deletion,
    "insertion": quality.insertion,
    "sensitivity_n": lambda *given: quality.sensitivity_n(*given, n=5, rng=rng()),
    "infidelity": lambda *given: quality.infidelity(*given, rng=rng()).relative,
    "max_sensitivity": lambda m, x, maps, t: quality.max_sensitivity(
        m, x, GradientInput(), t, rng=rng()
    ),
    "randomization": lambda m, x, maps, t: quality.randomization(
        m, x, GradientInput(), t, rng=rng()
    )[-1],
    "attribution_mass": lambda m, x, maps, t: quality.attribution_mass(maps, maps > 0.5),
    "pointing_game": lambda m, x, maps, t: quality.pointing_game(maps, maps > 0.5),
    "sparseness": lambda m, x, maps, t: quality.sparseness(maps),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("shape", [SHAPE, (6, 5)], ids=str)
def test_a_value_does_not_depend_on_the_batch(name, shape):
    model = network() if len(shape) == 3 else linear_model(shape=shape)
    images, targets = images_of(shape), np.arange(9) % 3
    maps = rng(4).random((9, 6, 5), np.float32)
    maps[2:4] = 0  # as Grad-CAM often gives
    measure = MEASURES[name]
    values = measure(model, images, maps, targets)
    assert values.shape == (9,) and values.dtype == np.float64 and np.isfinite(values).all()
    np.testing.assert_array_equal(values, measure(model, images, maps, targets))
    alone = [measure(model, images[i : i + 1], maps[i : i + 1], targets[i]) for i in range(9)]
    np.testing.assert_allclose(np.concatenate(alone), values, rtol=1e-3, atol=1e-4)
    assert measure(model, images[:0], maps[:0], targets[:0]).shape == (0,)


@pytest.mark.parametrize("name", [n for n in MEASURES if "completeness" not in n])
def test_nan_is_not_hidden(name):
    if name in ("max_sensitivity", "randomization"):

        def broken(model, images, targets):
            return np.full(images.shape[:3], np.nan)

        assert np.isnan(getattr(quality, name)(network(), images_of(), broken, rng=rng())).all()
        return
    maps = rng().random((9, 6, 5))
    maps[3, 2, 2] = np.nan
    values = MEASURES[name](network(), images_of(), maps, 0)
    np.testing.assert_array_equal(np.isnan(values), np.arange(9) == 3)


def test_what_does_not_fit_is_a_clear_error():
    model, images = linear_model(), images_of()
    maps = np.zeros((9, 6, 5))
    wrong = [
        (lambda: quality.deletion(model, images, maps[:, :3]), "maps have the shape"),
        (lambda: quality.deletion(model, [images, images[:, 0]], maps), "are a list"),
        (lambda: quality.deletion(model, images[0, 0], maps), "the shape"),
        (lambda: quality.deletion(model, images, maps, "all"), "targets are 'all'"),
        (lambda: quality.deletion(model, images, maps, 3), "target class 3"),
        (lambda: quality.deletion(model, images, maps, steps=0), "0 steps"),
        (lambda: quality.sensitivity_n(model, images, maps, n=31, rng=rng()), "1 to 30"),
        (lambda: quality.max_sensitivity(model, images, edges, rng=rng(), samples=0), "0 samples"),
        (lambda: quality.randomization(model, images, edges, rng=rng(), stages=0), "0 stages"),
        (
            lambda: quality.randomization(
                keras.Sequential([keras.Input(SHAPE), L.Flatten()]), images, edges, rng=rng()
            ),
            "no weights",
        ),
    ]
    for call, message in wrong:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.long
def test_models_are_freed():
    def measure(activation):
        model, images = network.__wrapped__(activation=activation), images_of()
        for name in MEASURES:
            MEASURES[name](model, images, np.ones((9, 6, 5)), 0)
        return weakref.ref(model)

    models = [measure("softmax"), measure(None)]
    keras.backend.clear_session()
    gc.collect()
    assert [model() for model in models] == [None, None]


# Objectives


def subject_of(model, communicator, count, rows=slice(None)):
    images = rng().integers(0, 256, (count, 6, 5, 2), dtype=np.uint8)
    probabilities = model(images / np.float32(255)).numpy()
    labels = np.zeros(count, np.int32)
    parts = [a[rows] for a in (images, labels, probabilities)]
    return Subject(model, communicator, ("a", "b", "c"), *parts)


@pytest.mark.parametrize("count", [13, *left_to_all(1)])
def test_several_ranks_score_what_one_does(count):
    """Also where one of them has no image."""
    models = [network.__wrapped__() for _ in range(2)]

    def scores(communicator):
        rows = slice(communicator.rank, None, communicator.size)
        subject = subject_of(models[communicator.rank], communicator, count, rows)
        return [OBJECTIVES.get(name)(images=9).score(subject) for name in NAMES]

    (alone,), transaction = on_ranks(1, scores), on_ranks(2, scores)
    for of_rank in transaction:
        for one, right in zip(of_rank, alone, strict=True):
            assert one.value == pytest.approx(right.value, abs=1e-3)
            assert one.metrics == pytest.approx(right.metrics, rel=1e-2, abs=1e-3)


def test_an_objective_is_the_mean_of_its_measure_with_its_standard_error():
    (score,) = on_ranks(
        1, lambda one: OBJECTIVES.get("sparseness")(images=7).score(subject_of(network(), one, 12))
    )
    images = rng().integers(0, 256, (12, 6, 5, 2), dtype=np.uint8)[:7] / np.float32(255)
    values = quality.sparseness(IntegratedGradients(steps=8)(network(), images))
    assert score.value == pytest.approx(values.mean(), abs=1e-4)
    error = values.std(ddof=1) / np.sqrt(7)
    assert score.metrics == {"sparseness/standard_error": pytest.approx(error, rel=1e-2)}


def test_options_are_finite_numbers():
    for cls, options in ((SmoothGrad, {"noise": math.inf}), (MaxSensitivity, {"radius": math.inf})):
        with pytest.raises(ValidationError, match="finite"):
            cls(**options)


def test_options_reach_the_measure():
    def scores(communicator):
        subject = subject_of(network(), communicator, 20)
        cls = OBJECTIVES.get("randomization")
        options = [{"stages": 2}, {"stages": 9}, {"seed": 1}, {"method": "grad_cam"}]
        return [cls(images=5, **each).score(subject) for each in [{}, *options]]

    ((default, two, nine, *others),) = on_ranks(1, scores)
    assert len(two.metrics) == 2 + 1 and len(nine.metrics) == len(default.metrics) == 4 + 1
    assert len({score.value for score in (default, two, *others)}) == 4
    with pytest.raises(ValidationError, match="did you mean 'grad_cam'"):
        OBJECTIVES.get("deletion")(method="gradcam")
    with pytest.raises(ValidationError):
        OBJECTIVES.get("completeness_error")(method="grad_cam")


def test_further_methods_have_the_values_of_their_own_objectives():
    cls = OBJECTIVES.get("randomization")

    def scores(communicator):
        subject = subject_of(network(), communicator, 12)
        given = [{"further_methods": ["grad_cam"]}, {}, {"method": "grad_cam"}]
        return [cls(images=5, stages=2, **each).score(subject) for each in given]

    ((both, own, other),) = on_ranks(1, scores)
    assert both.value == own.value and own.metrics.items() <= both.metrics.items()
    further = {name: v for name, v in both.metrics.items() if name not in own.metrics}
    renamed = {n.replace("ation/", "ation/grad_cam/"): v for n, v in other.metrics.items()}
    assert further == {"randomization/grad_cam": other.value, **renamed}
    with pytest.raises(ValidationError, match="given twice: smooth_grad, smooth_grad"):
        cls(further_methods=["smooth_grad"])
    with pytest.raises(ValidationError, match="did you mean 'grad_cam'"):
        cls(further_methods=["gradcam"])


def test_a_further_method_that_is_not_applicable_loses_no_other_value():
    given = {"further_methods": ["grad_cam", "smooth_grad"]}
    measures = [OBJECTIVES.get("sparseness")(images=5, **each) for each in (given, {})]
    measures[0].check_model(linear_model())

    def scores(communicator):
        subject = subject_of(linear_model(), communicator, 12)
        return [each.score(subject) for each in measures]

    ((both, own),) = on_ranks(1, scores)
    assert both.value == own.value and math.isnan(both.metrics["sparseness/grad_cam"])
    assert math.isfinite(both.metrics["sparseness/smooth_grad"])
    assert both.reason.startswith("not recorded: sparseness/grad_cam is nan (Grad-CAM needs")
    assert "smooth_grad" not in both.reason and own.reason == ""
