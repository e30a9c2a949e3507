"""Introspectability: the formula word for word, its options, and what is degenerate."""

import tracemalloc
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.unit.test_objectives import CLASSES, NAMES, make_model, make_subject
from xnas_tf.attribution.activations import LayerActivations
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.objectives import class_resampling, introspectability
from xnas_tf.objectives.attribution_quality import Deletion
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.class_distance import ChosenImages, ClassMeans, ClassPairs
from xnas_tf.objectives.class_gram import ClassSums, mean_gram
from xnas_tf.objectives.class_resampling import (
    STEP,
    balanced_choice,
    resampled_sums,
    resampling_weights,
    standard_error,
)
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.similarity import class_weights
from xnas_tf.utils.heartbeat import on_progress

ONE = SingleProcess()
PAPER = {"estimator": "plain", "missing_classes": "ignore", "min_images": 1}
"""Options of the paper's formula."""


def layer_outputs(model, images):
    """Every convolution's and activation's outputs, (N, D) a layer."""
    view = keras.Model(model.input, [layer.output for layer in model.layers[1:4]])
    outputs = view((images / 255).astype(np.float32), training=False)
    return [np.reshape(o, (len(images), -1)).astype(float) for o in outputs]


def direct(layers, groups, normalize="none", weights=None, weighting="normalized"):
    """The paper's formula on stored activations."""
    present = np.unique(groups)
    if len(present) < 2:
        return 0.0
    means = [np.stack([a[groups == c].mean(axis=0) for c in present]) for a in layers]
    if normalize == "layer":
        means = [m / (np.linalg.norm(m) or 1) for m in means]
    whole = np.concatenate(means, axis=1)
    total = shares = 0.0
    for i in range(len(present)):
        for j in range(i):
            a, b = whole[i], whole[j]
            share = 1.0 if weights is None else weights[present[i], present[j]]
            scale = np.linalg.norm(a) * np.linalg.norm(b)
            total += share * (1 - (a @ b / scale if scale else 1))
            shares += share if weighting == "normalized" else 1
    return total / shares if shares else 0.0


def unbiased(layers, groups, normalize="none", times=None, classes=CLASSES):
    """Without the noise's bias, image by image: the mean inner product of two of a class's images
    in place of its mean's square; ``times`` are weights of the images."""
    times = np.ones(len(groups)) if times is None else times
    whole = np.zeros((classes, classes))
    for layer in layers:
        gram = np.zeros((classes, classes))
        for i in range(classes):
            for j in range(classes):
                a, b = np.flatnonzero(groups == i), np.flatnonzero(groups == j)
                pairs = [(k, m) for k in a for m in b if k != m]
                shares = [times[k] * times[m] for k, m in pairs]
                products = [layer[k] @ layer[m] for k, m in pairs]
                gram[i, j] = np.average(products, weights=shares) if pairs else 0
        whole += gram / np.trace(gram) if normalize == "layer" else gram
    lengths = np.sqrt(np.diag(whole))
    distances = 1 - whole / np.outer(lengths, lengths)
    return distances[np.triu_indices(classes, 1)].mean()


OPTIONS = st.fixed_dictionaries(
    {
        "normalize": st.sampled_from(["none", "layer"]),
        "group_by": st.sampled_from(["predicted", "true"]),
    }
)


@settings(deadline=None, max_examples=5)
@given(
    st.integers(0, 10**6),
    st.integers(2, 80),
    OPTIONS,
    st.sampled_from([None, "normalized", "paper"]),
)
def test_the_papers_options_give_the_papers_formula_on_stored_activations(
    tmp_path_factory, seed, count, options, weighting
):
    model = make_model(seed % 7)
    subject = make_subject(model, count, seed)
    weights = None
    if weighting:
        options["weighting"] = weighting
        half = np.random.default_rng(seed).random((CLASSES, CLASSES))
        weights = half + half.T
        options["similarity"] = str(tmp_path_factory.mktemp("weights") / "w.csv")
        np.savetxt(options["similarity"], weights, delimiter=",")
    layers = layer_outputs(model, subject.images)
    groups = subject.predicted if options["group_by"] == "predicted" else subject.labels
    objective = Introspectability(sources=["activations"], images=1000, **PAPER, **options)
    score = objective.score(subject)
    right = direct(layers, groups, options["normalize"], weights, weighting)
    assert score.value == pytest.approx(right, abs=1e-5)
    for layer, stored in zip(model.layers[1:4], layers, strict=True):
        found = score.metrics[f"introspectability/activations/{layer.name}"]
        assert found == pytest.approx(
            direct([stored], groups, "none", weights, weighting), abs=1e-5
        )


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6), st.integers(30, 60), OPTIONS)
def test_the_score_is_the_unbiased_formula_on_stored_activations(seed, count, options):
    model = make_model(seed % 7)
    subject = make_subject(model, count, seed, np.random.default_rng(seed).permutation(count) % 3)
    subject = replace(subject, labels=np.roll(subject.predicted, 1))
    groups = subject.predicted if options["group_by"] == "predicted" else subject.labels
    score = Introspectability(sources=["activations"], **options).score(subject)
    right = unbiased(layer_outputs(model, subject.images), groups, options["normalize"])
    assert score.value == pytest.approx(right, abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(9, 30), st.sampled_from(["none", "layer"]))
def test_a_resample_is_the_formula_with_weights(seed, count, normalize):
    rng = np.random.default_rng(seed)
    layers = [rng.random((count, d)) for d in (3, 8)]
    groups = np.arange(count) % CLASSES
    times = rng.random((4, count)) + 0.1
    (sums,) = resampled_sums(layers, np.eye(CLASSES)[groups], times, ONE)
    found = ClassPairs(np.bincount(groups)).mean_distance(mean_gram(sums, normalize, "unbiased"))
    right = [unbiased(layers, groups, normalize, each) for each in times]
    np.testing.assert_allclose(found, right, atol=1e-4)


def test_many_classes_are_resampled_in_blocks_that_fit_into_memory(monkeypatch):
    """All resamples of 1,000 classes need gigabytes at once; the values do not depend on it."""
    rng, classes, steps = np.random.default_rng(0), 30, []
    groups = np.repeat(np.arange(classes), 3)
    layers = [rng.random((90, d)).astype(kind) for d, kind in ((7, np.float32), (50, np.float64))]
    weights, members = resampling_weights(groups, 10), np.eye(classes)[groups]

    def blocks():
        return list(resampled_sums(layers, members, weights, ONE))

    (whole,) = blocks()
    monkeypatch.setattr(class_resampling, "BLOCK_BYTES", 3 * 8 * classes * (8 * classes + 100))
    with on_progress(lambda: steps.append(1)):
        parts = blocks()
    assert [len(part[0].weights) for part in parts] == [3, 3, 3, 1] and len(steps) == 3
    for layer, expected in enumerate(whole):
        for name, values in vars(expected).items():
            found = np.concatenate([getattr(part[layer], name) for part in parts])
            np.testing.assert_allclose(found, values, rtol=1e-12)

    def on_rank(communicator):
        """The second of three ranks has no image."""
        own = np.digitize(np.arange(len(groups)), [20, 20]) == communicator.rank
        rows = [layer[own] for layer in layers]
        return list(resampled_sums(rows, members[own], weights[:, own], communicator))

    for found in on_ranks(3, on_rank):
        for part, expected in zip(found, parts, strict=True):
            for one, other in zip(part, expected, strict=True):
                np.testing.assert_allclose(one.products, other.products, rtol=1e-12)
                np.testing.assert_allclose(one.squares, other.squares, rtol=1e-12)


def test_the_resamples_of_many_layers_need_no_more_memory_than_a_block(monkeypatch):
    """Neither the previous block nor an array of images and classes for each layer is kept."""
    rng, classes, count = np.random.default_rng(0), 150, 1500
    groups = np.arange(count) % classes
    unused = np.zeros(0)
    layers = [
        LayerActivations(str(i), unused, unused, rng.random((count, 2), np.float32))
        for i in range(12)
    ]
    pairs, weights = ClassPairs(np.bincount(groups)), resampling_weights(groups, 20)
    chosen = ChosenImages(unused, groups, weights, pairs)
    means = ClassMeans("activations", layers, [], chosen, [], unused)
    monkeypatch.setattr(class_resampling, "BLOCK_BYTES", 16 * 2**20)
    Introspectability()._resampled_values(means, ONE)  # fills caches
    tracemalloc.start()
    Introspectability()._resampled_values(means, ONE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_many_images_are_explained_in_parts_that_fit_into_memory(model, monkeypatch):
    subject, sizes, call = make_subject(model, 20), [], AttributionMethod.__call__

    def counted(method, model, images, targets):
        sizes.append(len(images))
        return call(method, model, images, targets)

    monkeypatch.setattr(AttributionMethod, "batch_size_for", lambda *_: 8)
    monkeypatch.setattr(AttributionMethod, "__call__", counted)
    whole = Introspectability(sources=["grad_cam"]).score(subject)
    monkeypatch.setattr(introspectability, "FLOAT_BYTES", 1)
    parts = Introspectability(sources=["grad_cam"]).score(subject)
    assert sizes == [20, 8, 8, 4] and parts.value == pytest.approx(whole.value, rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=4), st.integers(0, 100))
def test_resampled_means_vary_as_means_of_fresh_images(sizes, seed):
    """By ``STEP`` times the standard error of the mean, for small n too."""
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    values = np.random.default_rng(seed).normal(size=len(groups))
    weights = resampling_weights(groups, 4000)
    for c, size in enumerate(sizes):
        own = groups == c
        means = weights[:, own] @ values[own] / weights[:, own].sum(axis=1)
        error = values[own].std(ddof=1) / np.sqrt(size)
        assert means.std() / STEP == pytest.approx(error, rel=0.06)
        assert standard_error(means) == pytest.approx(min(means.std() / STEP, 1), rel=1e-3)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=60), st.integers(2, 40))
def test_images_are_chosen_equally_among_the_classes(groups, count):
    groups = np.array(groups, int)
    chosen = balanced_choice(groups, count)
    assert len(chosen) == min(count, len(groups)) and (np.diff(chosen) > 0).all()
    all_of, some = np.bincount(groups, minlength=5), np.bincount(groups[chosen], minlength=5)
    short = some < all_of
    assert not short.any() or some.max() - some[short].min() <= 1
    for c in range(5):  # the first of each class
        own = np.flatnonzero(groups == c)
        assert chosen[groups[chosen] == c].tolist() == own[: some[c]].tolist()


def test_the_standard_error_is_what_repeated_samples_show():
    """Against the spread over fresh samples of images."""
    model = make_model()
    part = make_dataset(1600).train
    order = np.random.default_rng(0).permutation(1600)
    images, labels = part.images[order], part.labels[order]
    known = np.eye(CLASSES, dtype=np.float32)[labels]
    objective = Introspectability(sources=["activations"], images=80)
    values, errors = [], []
    for start in range(0, 1600, 80):
        rows = slice(start, start + 80)
        part = (images[rows], labels[rows], known[rows])
        score = objective.score(Subject(model, SingleProcess(), NAMES, *part))
        values.append(score.value)
        errors.append(score.metrics["introspectability/standard_error"])
    assert 0.7 < np.mean(errors) / np.std(values, ddof=1) < 1.5


def test_sources_are_weighted_and_recorded(model):
    sources = {"grad_cam": 1, "integrated_gradients": 2, "activations": 3}
    score = Introspectability(sources=sources).score(make_subject(model))
    parts = [score.metrics[f"introspectability/{source}"] for source in sources]
    assert score.value == pytest.approx(np.average(parts, weights=[1, 2, 3]))
    assert score.metrics["introspectability/groups"] == CLASSES
    for source in ["grad_cam/", "activations/", ""]:
        assert score.metrics[f"introspectability/{source}standard_error"] > 0


def test_attribution_sources_are_the_formula_on_their_maps(model):
    from xnas_tf.attribution.integrated_gradients import IntegratedGradients

    subject = make_subject(model)
    maps = IntegratedGradients(steps=8)(model, subject.images / np.float32(255), subject.predicted)
    stored = [maps.reshape(len(maps), -1).astype(float)]
    score = Introspectability(sources=["integrated_gradients"], **PAPER).score(subject)
    assert score.value == pytest.approx(direct(stored, subject.predicted), abs=1e-5)
    score = Introspectability(sources=["integrated_gradients"]).score(subject)
    assert score.value == pytest.approx(unbiased(stored, subject.predicted), abs=1e-5)


@pytest.fixture(scope="module")
def model():
    """A network that no test changes, with what was traced."""
    return make_model()


@settings(deadline=None, max_examples=3)
@given(st.integers(0, CLASSES - 1), st.integers(0, 4), st.sampled_from(["zero", "ignore"]))
def test_a_network_that_answers_one_class_scores_0(model, answer, others, missing):
    """Also with a few images of another class, which are too few to count."""
    predicted = np.full(70, answer)
    predicted[:others] = (answer + 1) % CLASSES
    sources = ["activations", "grad_cam", "integrated_gradients"]
    objective = Introspectability(sources=sources, missing_classes=missing)
    score = objective.score(make_subject(model, predicted=predicted))
    assert score.value == 0 and score.reason
    assert all(score.metrics[f"introspectability/{source}"] == 0 for source in sources)


def test_degenerate_cases_have_a_value_and_a_reason(model):
    one = Introspectability().score(make_subject(model, predicted=np.zeros(70, int)))
    assert one.value == 0 and "all images are predicted as one class" in one.reason
    subject = make_subject(model, predicted=np.arange(70) % 2)
    zero = Introspectability().score(subject)
    assert (
        zero.value > 0 and "no image is predicted as class c, whose pairs count as 0" in zero.reason
    )
    ignored = Introspectability(missing_classes="ignore").score(subject)
    assert ignored.value == pytest.approx(3 * zero.value)
    assert "class c, whose pairs are left out" in ignored.reason
    few = np.where(np.arange(70) < 4, 2, np.arange(70) % 2)
    few = Introspectability().score(make_subject(model, predicted=few))
    assert "fewer than 5 images are predicted as class c, whose pairs" in few.reason
    assert few.metrics["introspectability/groups"] == 2
    none = Introspectability(min_images=6, images=12).score(make_subject(model, 12))
    assert none.value == 0 and "fewer than two classes have 6 images predicted" in none.reason
    known = make_subject(model, predicted=np.zeros(70, int))
    true = Introspectability(group_by="true").score(replace(known, labels=np.arange(70) % 2))
    assert "no image is of class c" in true.reason and "predicted" not in true.reason
    dead = make_model()
    dead.set_weights([0 * w for w in dead.get_weights()])
    flat = Introspectability().score(make_subject(dead))
    assert flat.value == 0 and "grad_cam: the class means of a, b and c are zero" in flat.reason
    broken = make_model()
    broken.set_weights([w * np.nan for w in broken.get_weights()])
    nan = Introspectability(sources=["activations"]).score(make_subject(broken))
    assert np.isnan(nan.value) and "activations: not a finite number" in nan.reason
    assert Introspectability().score(make_subject(model)).reason == ""


def test_layers_can_be_chosen(model):
    subject = make_subject(model)
    names = [layer.name for layer in model.layers[1:4]]
    score = Introspectability(sources=["activations"], layers=[names[0]]).score(subject)
    alone = score.metrics[f"introspectability/activations/{names[0]}"]
    assert score.value == pytest.approx(alone, abs=1e-12)
    assert not any(names[1] in key for key in score.metrics)


@pytest.mark.parametrize(("size", "images"), [(3, 33), *left_to_all((2, 33), (4, 2))])
@pytest.mark.parametrize("options", [{}, *left_to_all(PAPER)], ids=["default", "paper"])
def test_several_ranks_score_what_one_does(size, images, options):
    """Also where images don't divide evenly, and where some ranks have none."""
    objective = Introspectability(sources=("activations", "grad_cam"), images=images, **options)
    models = [make_model() for _ in range(size)]  # not in the threads: their seed is global
    whole = make_subject(models[0], 71)

    def score(communicator):
        rows = slice(communicator.rank, None, communicator.size)
        part = [a[rows] for a in (whole.images, whole.labels, whole.probabilities)]
        return objective.score(Subject(models[communicator.rank], communicator, NAMES, *part))

    (alone,), transaction = on_ranks(1, score), on_ranks(size, score)
    for one in transaction:
        assert one.value == pytest.approx(alone.value, abs=1e-5)
        assert list(one.metrics.values()) == pytest.approx(list(alone.metrics.values()), abs=1e-5)


@pytest.mark.parametrize(
    ("gram", "predicted", "distance"),
    [
        (np.eye(3), [1, 1, 1], 1.0),
        (np.ones((3, 3)), [1, 1, 1], 0.0),
        (np.array([[1.0, -1.0], [-1.0, 1.0]]), [1, 1], 2.0),
        (np.eye(2), [1, 0], 0.0),
        (np.zeros((3, 3)), [1, 1, 1], 0.0),
        (np.diag([1.0, 5.0, 0.0]), [1, 1, 0], 1.0),
        (np.diag([1.0, 5.0, 0.0]), [1, 1, 1], 1 / 3),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), [1, 1], np.nan),
    ],
)
def test_class_distance_of_known_cases(gram, predicted, distance):
    pairs = ClassPairs(np.array(predicted))
    assert pairs.mean_distance(gram) == pytest.approx(distance, nan_ok=True)
    assert pairs.mean_distance(gram * 7) == pytest.approx(distance, nan_ok=True)


def test_pairs_with_a_missing_class_count_as_zero_or_not_at_all():
    gram, weights = np.eye(3), np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    counts = np.array([9, 9, 4])
    zero, ignore = ClassPairs(counts, 5, "zero"), ClassPairs(counts, 5, "ignore")
    assert zero.mean_distance(gram) == pytest.approx(1 / 3)
    assert ignore.mean_distance(gram) == 1
    assert replace(zero, weights=weights).mean_distance(gram) == pytest.approx(1 / 6)
    assert replace(ignore, weights=weights).mean_distance(gram) == 1
    assert replace(zero, counts=np.array([9, 0, 0])).mean_distance(gram) == 0
    twice = {"weights": 2 * weights, "weighting": "paper"}
    assert replace(zero, **twice).mean_distance(gram) == pytest.approx(2 / 3)
    assert replace(ignore, **twice).mean_distance(gram) == 2
    assert replace(ignore, **twice | {"weights": 0 * weights}).mean_distance(gram) == 0


def test_the_papers_weighting_scales_values_and_standard_errors(tmp_path, model):
    """Where no class is missing, by the mean weight of the pairs."""
    path = tmp_path / "w.csv"
    path.write_text("1,0.5,0.25\n0.5,1,0.1\n0.25,0.1,1\n")
    subject = make_subject(model)
    options = {"sources": ["activations", "grad_cam"], "similarity": str(path)}
    normalized = Introspectability(**options).score(subject).metrics
    paper = Introspectability(**options, weighting="paper").score(subject).metrics
    assert paper.pop("introspectability/groups") == normalized.pop("introspectability/groups") == 3
    scale = np.mean([0.5, 0.25, 0.1])
    assert paper == pytest.approx({key: scale * value for key, value in normalized.items()})


def sampled_distances(means, sizes, draws, seed, estimator="unbiased", spread=1.0):
    """The distance of class means of fresh images, draw by draw."""
    rng, found = np.random.default_rng(seed), []
    classes, groups = len(means), np.repeat(np.arange(len(means)), sizes)
    counts = np.bincount(groups, minlength=classes).astype(float)
    for _ in range(draws):
        images = means[groups] + spread * rng.normal(size=(len(groups), means.shape[1]))
        members = np.eye(classes)[groups].T
        sums = members @ images
        squares = members @ np.square(images).sum(axis=1)
        layer = ClassSums(sums @ sums.T, squares, counts, counts)
        gram = mean_gram([layer], "none", estimator)
        found.append(float(ClassPairs(counts).mean_distance(gram)))
    return np.array(found)


UNEQUAL = [5, 8, 12, 30, 45]


@pytest.mark.parametrize("sizes", [UNEQUAL, *left_to_all([20] * 5)], ids=["unequal", "equal"])
def test_noise_has_no_distance_on_average(sizes):
    """Classes of one mean, as of images grouped by chance, and as many values below 0 as that
    takes; the plain estimate sees a distance."""
    means = np.ones((5, 400))
    values = sampled_distances(means, sizes, 1000, 0)
    error = values.std(ddof=1) / np.sqrt(len(values))
    # The square root and the ratio have a bias of second order: here 0.0003 at most.
    assert abs(values.mean()) < 3 * error + 3e-4 and error < 2e-4
    assert (values < 0).mean() > 0.3
    assert sampled_distances(means, sizes, 100, 0, "plain").mean() > 0.03


@pytest.mark.parametrize("sizes", [[12] * 5, UNEQUAL], ids=["equal", "unequal"])
def test_noise_around_zero_has_no_direction_and_no_distance(sizes):
    values = sampled_distances(np.zeros((5, 400)), sizes, 200, 1)
    assert abs(values.mean()) < 1e-3
    assert sampled_distances(np.zeros((5, 400)), sizes, 50, 1, "plain").mean() > 0.9


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6), st.integers(8, 16))
def test_few_images_do_not_shift_the_mean(seed, size):
    """Nor does the ratio's own bias, of second order, matter."""
    means = np.random.default_rng(seed).random((4, 60))
    exact = ClassPairs(np.ones(4)).mean_distance(means @ means.T)
    found = sampled_distances(means, [size] * 4, 200, seed, spread=0.4)
    assert abs(found.mean() - exact) < 4 * found.std(ddof=1) / np.sqrt(200) + 2e-3
    plain = sampled_distances(means, [size] * 4, 200, seed, "plain", 0.4)
    assert plain.mean() - exact > 0.015


@pytest.mark.parametrize("half", [0.0, 1.0])
def test_the_standard_error_of_an_unbiased_estimate_is_the_spread_of_fresh_samples(half):
    rng = np.random.default_rng(2)
    means = rng.normal(size=(6, 50)) + half
    groups = np.repeat(np.arange(6), 15)
    pairs, members = ClassPairs(np.bincount(groups)), np.eye(6)[groups]
    weights, values, errors = resampling_weights(groups, 100), [], []
    for _ in range(200):
        images = means[groups] + 1.2 * rng.normal(size=(90, 50))
        once, resampled = (
            mean_gram(next(resampled_sums([images], members, each, ONE)), "none", "unbiased")
            for each in (np.ones((1, 90)), weights)
        )
        values.append(float(pairs.mean_distance(once)[0]))
        errors.append(standard_error(pairs.mean_distance(resampled)))
    assert 0.8 < np.mean(errors) / np.std(values, ddof=1) < 1.2


def test_a_small_validation_part_asks_less_of_a_class(model):
    """Of 3 classes: half of what each has on average, at least two images for a variance."""
    predicted = np.repeat([0, 1, 2], [9, 9, 2])
    score = Introspectability().score(make_subject(model, 20, predicted=predicted))
    assert score.metrics["introspectability/groups"] == 2
    assert "fewer than 3 images are predicted as class c" in score.reason
    predicted = np.repeat([0, 1, 2], [3, 3, 2])
    score = Introspectability().score(make_subject(model, 8, predicted=predicted))
    assert score.metrics["introspectability/groups"] == 3
    one = Introspectability().score(make_subject(model, 8, predicted=np.zeros(8, int)))
    assert one.value == 0


def test_too_few_images_are_refused_before_anything_is_trained():
    names = tuple(map(str, range(30)))
    Introspectability().check(names)
    assert Introspectability().max_images(12) == 128 and Introspectability().max_images(30) == 300
    assert Introspectability(min_images=40).max_images(3) == 240
    with pytest.raises(InputError, match=r"images: given 128; allowed: at least 150.*30 classes"):
        Introspectability(images=128).check(names)
    Introspectability(images=128, missing_classes="ignore").check(names)
    with pytest.raises(ValueError, match="min_images 1; allowed: at least 2"):
        Introspectability(min_images=1)


def test_numbers_may_be_names(tmp_path):
    path = tmp_path / "similarity.csv"
    path.write_text("1,0\n0.5,0.2\n0.2,0.7\n")
    np.testing.assert_array_equal(class_weights(str(path), ("0", "1")), [[0.7, 0.2], [0.2, 0.5]])


@pytest.mark.parametrize(
    "options",
    [
        {"layers": []},
        {"layers": ["conv"]},
        {"normalize": "layer"},
        {"sources": []},
        {"weighting": "paper"},
    ],
    ids=str,
)
def test_options_without_effect_are_refused(options):
    with pytest.raises(ValueError):
        Introspectability(**options)


def test_plug_ins_are_looked_up_before_anything_is_trained():
    for objective in (Introspectability(sources=["no.module:Name"]), Deletion(method="json:load")):
        with pytest.raises(InputError):
            objective.check(NAMES)


NAMED = "cat,dog,car\n1,0.2,0.1\n0.2,1,0.3\n0.1,0.3,1\n"


@pytest.mark.parametrize(
    "text", [NAMED, NAMED.split("\n", 1)[1], ",cat,dog,car\ncat,1,.2,.1\ndog,.2,1,.3\ncar,.1,.3,1"]
)
def test_similarities_are_read_with_names_and_without(tmp_path, text):
    path = tmp_path / "similarity.csv"
    path.write_text(text)
    weights = class_weights(str(path), ("cat", "dog", "car"))
    np.testing.assert_array_equal(weights, [[1, 0.2, 0.1], [0.2, 1, 0.3], [0.1, 0.3, 1]])
    if "cat" in text:
        turned = class_weights(str(path), ("car", "cat", "dog"))
        np.testing.assert_array_equal(turned, [[1, 0.1, 0.3], [0.1, 1, 0.2], [0.3, 0.2, 1]])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1,2\n2,1\n", r"shape \(2, 2\); allowed: \(3, 3\)"),
        ("cat,dog,cow\n1,0,0\n0,1,0\n0,0,1\n", "no column for class 'car'"),
        ("1,0,0\n0,1,x\n0,0,1\n", "not a matrix of numbers"),
        (",cat,dog,car\ncat,1,0,0\ncar,0,1,0\ndog,0,0,1\n", "different orders"),
        ("1,2,3\n0,1,0\n0,0,1\n", "symmetric"),
        ("1,-2,0\n-2,1,0\n0,0,1\n", "numbers from 0"),
        ("", "shape"),
        ("1" * 200_000, "cannot be read: field larger than field limit"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_similarity_file_is_a_clear_error(tmp_path, text, problem):
    path = tmp_path / "similarity.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=problem) as error:
        Introspectability(similarity=str(path)).check(("cat", "dog", "car"))
    assert "similarity.csv" in str(error.value)
