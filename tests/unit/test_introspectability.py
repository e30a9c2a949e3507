"""Introspectability: the formula word for word, its options, and what is degenerate."""

import sys
import types

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_dataset, on_ranks
from tests.unit.test_objectives import CLASSES, NAMES, make_model, make_subject
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.objectives.attribution_quality import Deletion
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.class_distance import distance_of, resampled_distances
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.similarity import class_weights


def layer_outputs(model, images):
    """Every convolution's and activation's outputs, (N, D) a layer."""
    view = keras.Model(model.input, [layer.output for layer in model.layers[1:4]])
    outputs = view((images / 255).astype(np.float32), training=False)
    return [np.reshape(o, (len(images), -1)).astype(float) for o in outputs]


def direct(layers, groups, normalize="none", weights=None, times=None):
    """The paper's formula on stored activations; ``times`` says how often an image counts."""
    times = np.ones(len(groups)) if times is None else times
    present = [c for c in np.unique(groups) if times[groups == c].sum() > 0]
    if len(present) < 2:
        return 0.0
    means = [
        np.stack([np.average(a[groups == c], axis=0, weights=times[groups == c]) for c in present])
        for a in layers
    ]
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
            shares += share
    return total / shares if shares else 0.0


OPTIONS = st.fixed_dictionaries(
    {
        "normalize": st.sampled_from(["none", "layer"]),
        "group_by": st.sampled_from(["predicted", "true"]),
    }
)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.integers(2, 80), OPTIONS, st.booleans())
def test_activations_score_is_the_formula_on_stored_activations(
    tmp_path_factory, seed, count, options, weighted
):
    model = make_model(seed % 7)
    subject = make_subject(model, count, seed)
    weights = None
    if weighted:
        half = np.random.default_rng(seed).random((CLASSES, CLASSES))
        weights = half + half.T
        options["similarity"] = str(tmp_path_factory.mktemp("weights") / "w.csv")
        np.savetxt(options["similarity"], weights, delimiter=",")
    layers = layer_outputs(model, subject.images)
    groups = subject.predicted if options["group_by"] == "predicted" else subject.labels
    score = Introspectability(sources=["activations"], images=1000, **options).score(subject)
    right = direct(layers, groups, options["normalize"], weights)
    assert score.value == pytest.approx(right, abs=1e-5)
    for layer, stored in zip(model.layers[1:4], layers, strict=True):
        found = score.metrics[f"introspectability/activations/{layer.name}"]
        assert found == pytest.approx(direct([stored], groups, "none", weights), abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(3, 40), st.sampled_from(["none", "layer"]))
def test_a_resample_is_the_formula_on_resampled_images(seed, count, normalize):
    rng = np.random.default_rng(seed)
    layers = [rng.random((count, d)) for d in (3, 8)]
    groups = rng.integers(0, CLASSES, count)
    times = rng.poisson(1.0, (4, count)).astype(float)
    members = np.eye(CLASSES)[groups]
    found = resampled_distances(layers, members, times, SingleProcess(), normalize, None)
    right = [direct(layers, groups, normalize, None, each) for each in times]
    np.testing.assert_allclose(found, right, atol=1e-5)


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
    assert 0.6 < np.mean(errors) / np.std(values, ddof=1) < 1.7


def test_sources_are_weighted_and_recorded():
    model = make_model()
    sources = {"grad_cam": 1, "integrated_gradients": 2, "activations": 3}
    score = Introspectability(sources=sources).score(make_subject(model))
    parts = [score.metrics[f"introspectability/{source}"] for source in sources]
    assert score.value == pytest.approx(np.average(parts, weights=[1, 2, 3]))
    assert score.metrics["introspectability/groups"] == CLASSES
    for source in ["grad_cam/", "activations/", ""]:
        assert score.metrics[f"introspectability/{source}standard_error"] > 0


def test_attribution_sources_are_the_formula_on_their_maps():
    from xnas_tf.attribution.integrated_gradients import IntegratedGradients

    model = make_model()
    subject = make_subject(model)
    maps = IntegratedGradients(steps=8)(model, subject.images / np.float32(255), subject.predicted)
    right = direct([maps.reshape(len(maps), -1).astype(float)], subject.predicted)
    score = Introspectability(sources=["integrated_gradients"]).score(subject)
    assert score.value == pytest.approx(right, abs=1e-5)


def test_degenerate_cases_have_a_value_and_a_reason():
    model = make_model()
    one = Introspectability().score(make_subject(model, predicted=np.zeros(70, int)))
    assert one.value == 0 and "all images are of one class" in one.reason
    two = Introspectability().score(make_subject(model, predicted=np.arange(70) % 2))
    assert two.value > 0 and "no image is of class c" in two.reason
    dead = make_model()
    dead.set_weights([0 * w for w in dead.get_weights()])
    flat = Introspectability().score(make_subject(dead))
    assert flat.value == 0 and "grad_cam: the mean of class a, b, c is all zero" in flat.reason
    broken = make_model()
    broken.set_weights([w * np.nan for w in broken.get_weights()])
    nan = Introspectability(sources=["activations"]).score(make_subject(broken))
    assert np.isnan(nan.value) and "activations: not a finite number" in nan.reason
    assert Introspectability().score(make_subject(model)).reason == ""


def test_layers_can_be_chosen():
    model = make_model()
    subject = make_subject(model)
    names = [layer.name for layer in model.layers[1:4]]
    score = Introspectability(sources=["activations"], layers=[names[0]]).score(subject)
    alone = score.metrics[f"introspectability/activations/{names[0]}"]
    assert score.value == pytest.approx(alone, abs=1e-12)
    assert not any(names[1] in key for key in score.metrics)


@pytest.mark.parametrize(("size", "images"), [(2, 33), (3, 33), (4, 2)])
def test_several_ranks_score_what_one_does(size, images):
    """Also where images don't divide evenly, and where some ranks have none."""
    objective = Introspectability(sources=("activations", "grad_cam"), images=images)
    models = [make_model() for _ in range(size)]  # not in the threads: their seed is global
    whole = make_subject(models[0], 71)

    def score(communicator):
        rows = slice(communicator.rank, None, communicator.size)
        part = [a[rows] for a in (whole.images, whole.labels, whole.probabilities)]
        return objective.score(Subject(models[communicator.rank], communicator, NAMES, *part))

    (alone,), together = on_ranks(1, score), on_ranks(size, score)
    for one in together:
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
    ],
)
def test_class_distance_of_known_cases(gram, predicted, distance):
    mask = np.array(predicted, bool)
    assert distance_of(gram, mask) == pytest.approx(distance)
    assert distance_of(gram * 7, mask) == pytest.approx(distance)


def test_nan_activations_are_not_hidden():
    assert np.isnan(distance_of(np.array([[1.0, np.nan], [np.nan, 1.0]]), np.ones(2, bool)))


def test_numbers_may_be_names(tmp_path):
    path = tmp_path / "similarity.csv"
    path.write_text("1,0\n0.5,0.2\n0.2,0.7\n")
    np.testing.assert_array_equal(class_weights(str(path), ("0", "1")), [[0.7, 0.2], [0.2, 0.5]])


@pytest.mark.parametrize(
    "options",
    [{"layers": []}, {"layers": ["conv"]}, {"normalize": "layer"}, {"sources": []}],
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


def test_wordnet_gives_path_similarities(monkeypatch):
    """With a stand-in of nltk's interface; its data cannot be had here."""

    class Sense:
        def __init__(self, place):
            self.place = place

        def path_similarity(self, other):
            return 1 / (1 + abs(self.place - other.place))

    places = {"cat": 0, "fire_truck": 3}
    wordnet = types.SimpleNamespace(
        synsets=lambda name, pos: [Sense(places[name])] if name in places else []
    )
    corpus = types.ModuleType("nltk.corpus")
    corpus.wordnet = wordnet
    monkeypatch.setitem(sys.modules, "nltk", types.ModuleType("nltk"))
    monkeypatch.setitem(sys.modules, "nltk.corpus", corpus)
    np.testing.assert_array_equal(
        class_weights("wordnet", ("cat", "fire truck")), [[1, 0.25], [0.25, 1]]
    )
    with pytest.raises(InputError, match="knows no noun 'blorp'"):
        class_weights("wordnet", ("cat", "blorp"))
    monkeypatch.setitem(sys.modules, "nltk", None)
    monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    with pytest.raises(InputError, match="not installed"):
        class_weights("wordnet", ("cat", "dog"))
