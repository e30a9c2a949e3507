"""Disentanglement of constructed networks on which the right paths are known."""

import itertools
import json
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from tests.classifiers import CLASSES, Subclassed, dense_model, nested_model
from tests.conftest import left_to_all
from tests.ranks import on_ranks
from xnas_tf.cli import main
from xnas_tf.data import Dataset, Split
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.interpretation.feature_taps import find_taps
from xnas_tf.interpretation.files import write_facts
from xnas_tf.interpretation.nad import disentangle, gated_network, mask_training
from xnas_tf.interpretation.nad.disentangle import _class_numbers
from xnas_tf.interpretation.nad.disentanglement import facts
from xnas_tf.interpretation.nad.expert_text import CAPTIONS, hits_text, paths_page
from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
from xnas_tf.interpretation.nad.mask_training import Images, MaskTrainingOptions, learn
from xnas_tf.interpretation.nad.masks import Paths
from xnas_tf.interpretation.nad.tables import comparisons, disentanglement_tables, most_similar
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.disentanglement import DisentanglementObjective
from xnas_tf.training.chance_level import Accuracy

NAMES = ("red", "green", "blue")
layers = keras.layers


def colours(count=48, size=6, seed=0) -> Dataset:
    """Images that are bright in the channel of their class alone."""
    rng = np.random.default_rng(seed)

    def part(number):
        labels = (np.arange(number) % CLASSES).astype(np.int32)
        images = np.zeros((number, size, size, CLASSES), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[..., label] = rng.integers(150, 256, (size, size))
        return Split(images, labels)

    return Dataset("colours", NAMES, part(count), part(30), part(30))


def weighted(model, weights):
    """Sets the kernels of a model's layers, in their order; all biases are zero."""
    for layer, kernel in zip([each for each in model.layers if each.weights], weights, strict=True):
        layer.set_weights([kernel.reshape(layer.get_weights()[0].shape)])
    return model


def disjoint_model():
    """Two channels for each class in each of two layers, and none that two classes use."""
    inputs = keras.Input((6, 6, CLASSES))
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, use_bias=False, activation="softmax")(x)
    pairs = np.repeat(np.eye(CLASSES), 2, axis=1)
    kernels = [pairs, np.kron(np.eye(CLASSES), np.ones((2, 2))), 10 * pairs.T]
    return weighted(keras.Model(inputs, outputs), kernels)


def sharing_model():
    """Every channel is the sum of differently weighted colours: all classes need all of them."""
    inputs = keras.Input((6, 6, CLASSES))
    mixed = np.array([[3, 2, 1, 1], [1, 3, 2, 1], [1, 1, 3, 2]], float)
    x = layers.Conv2D(4, 1, use_bias=False, activation="relu", name="first")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, use_bias=False)(x)
    return weighted(keras.Model(inputs, outputs), [mixed, 20 * np.linalg.pinv(mixed)])


@pytest.fixture(scope="module")
def brief():
    """Paths to disjoint classes after one epoch, which many tests read."""
    return disentangle(disjoint_model(), colours(), beta=1.0, epochs=1)


def masks_of(found):
    return [mask.astype(bool) for mask in found.paths.hard]


@pytest.mark.parametrize("beta", ["auto", *left_to_all(1.0)])
def test_disjoint_paths_are_recovered_exactly(beta):
    model = disjoint_model()
    before = [w.copy() for w in model.get_weights()]
    found = disentangle(model, colours(), beta=beta, epochs=30)
    known = facts(found)
    truth = np.repeat(np.eye(CLASSES, dtype=bool), 2, axis=1)
    for mask in masks_of(found):
        np.testing.assert_array_equal(mask, truth)
    assert found.paths.layers == ["first", "second"]
    # Two random pairs of six channels share one with 8/15, both with 1/15.
    expected = 8 / 15 / 3 + 1 / 15
    least = -expected / (1 - expected)  # the least that masks of these sizes can have
    off = ~np.eye(CLASSES, dtype=bool)
    np.testing.assert_allclose(found.paths.similarity[off], least, atol=1e-9)
    np.testing.assert_array_equal(np.diag(found.paths.similarity), 1)
    assert found.diversity == pytest.approx(1 - least)
    assert found.paths.uncorrected_diversity == 1
    assert (found.hard.accuracy == 1).all() and (found.plain.accuracy == 1).all()
    # On other images a path returns zeros, a tie that is no answer.
    assert (found.hard.false_alarms == 0).all() and known["false_alarms"] == 0
    assert (found.hits.by_class > 0.99).all()
    assert known["uncorrected_diversity"] == 1 and known["empty"] == [] and known["left_out"] == {}
    assert "similarity of paths ↓" in [a.get_title() for a in found.plot().axes][0]
    assert "95% interval" in found.plot("kept").get_suptitle().replace("\n", " ")
    with pytest.raises(InputError, match="no figure 'similarty' .did you mean 'similarity'"):
        found.plot("similarty")
    assert len(repr(found)) < 100 and "first" in found._repr_html_()
    first = known["layers"][0]
    assert first["kept"] == {"red": 2, "green": 2, "blue": 2}
    assert first["uncorrected_similarity"] == 0
    assert first["expected_similarity"] == pytest.approx(expected)
    assert first["similarity"] == pytest.approx(least)
    assert known["rank_correlation"] is None  # all pairs are equally similar
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_paths_that_all_classes_share_are_the_same():
    found = disentangle(sharing_model(), colours(), beta=0.02)
    assert all(mask.all() for mask in masks_of(found))
    np.testing.assert_array_equal(found.paths.similarity, np.ones((CLASSES, CLASSES)))
    assert found.diversity == 0 and found.paths.uncorrected_diversity == 0


@pytest.mark.long
def test_a_class_that_cannot_keep_the_limit_keeps_all_channels():
    """A path to each class but the first, which a bias makes the answer to everything."""
    model = disjoint_model()
    outputs = layers.Dense(CLASSES, activation="softmax")(model.layers[-2].output)
    biased = keras.Model(model.input, outputs)
    biased.layers[-1].set_weights([model.layers[-1].get_weights()[0], np.array([1.0, 0, 0])])
    for beta in ("auto", 1.0):
        free = disentangle(biased, colours(), beta=beta, epochs=30, false_alarms=1)
        assert free.hard.false_alarms.tolist() == [1, 0, 0]
        assert free.paths.kept.tolist() == [[2, 2, 2]] * 2
        found = disentangle(biased, colours(), beta=beta, epochs=30)
        assert found.hard.false_alarms.tolist() == [0, 0, 0]
        assert found.paths.kept[:, 0].max() > 2
        np.testing.assert_array_equal(found.paths.kept[:, 1:], free.paths.kept[:, 1:])
    never = disentangle(biased, colours(), epochs=4, beta=1e9, layers=["first"])
    assert never.paths.betas.tolist()[0] == 0 and never.paths.kept[0, 0] == 6
    np.testing.assert_array_equal(never.paths.similarity[0], 1)


def small_network(seed=0):
    """A network that knows nothing, of three blocks."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, CLASSES))
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="one")(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="two")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


@pytest.fixture
def lesson():
    """A traced network and its training images."""
    data = colours()
    network = MaskedNetwork(small_network(), data.train.images)
    assert network.gradients is not None
    right = network.predict(data.train.images).argmax(axis=1) == data.train.labels
    return network, Images(data.train.images, data.train.labels, right)


def assert_same_logits(found, expected):
    for mine, theirs in zip(found.logits, expected.logits, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


@pytest.mark.long
def test_together_and_one_after_the_other_give_the_same_masks(lesson):
    how = MaskTrainingOptions(1.0, 12, batch=8)
    together = learn(*lesson, np.arange(CLASSES), how)
    for number in range(CLASSES):
        alone = learn(*lesson, np.array([number]), how)
        own = Paths(together.layers, [each[[number]] for each in together.logits], alone.betas)
        assert_same_logits(own, alone)
        for both, single in zip(own.hard, alone.hard, strict=True):
            np.testing.assert_array_equal(both, single)


def test_masks_are_the_same_where_memory_keeps_no_originals(monkeypatch, lesson):
    network, _ = lesson
    how = MaskTrainingOptions(1.0, 5, batch=8)
    shown, find = [], network.originals
    vars(network)["originals"] = lambda images: (shown.append(len(images)), find(images))[1]
    size = 32 * 4 * 6 * 6 * (5 + 4)
    monkeypatch.setattr(gated_network, "MEMORY", size)
    kept = learn(*lesson, np.array([0, 2]), how)
    assert shown == [32]  # the two classes' images once
    monkeypatch.setattr(gated_network, "MEMORY", size - 1)
    assert_same_logits(learn(*lesson, np.array([0, 2]), how), kept)
    assert sum(shown[1:]) == 5 * 32


def test_masks_do_not_depend_on_how_many_images_are_in_memory(monkeypatch, lesson):
    how = MaskTrainingOptions(1.0, 2, batch=8)
    together = learn(*lesson, np.arange(CLASSES), how)
    monkeypatch.setattr(mask_training, "BATCH", 5)
    assert_same_logits(learn(*lesson, np.arange(CLASSES), how), together)
    monkeypatch.setattr(gated_network, "MEMORY", 0)
    assert_same_logits(learn(*lesson, np.arange(CLASSES), how), together)


def test_masks_do_not_depend_on_the_number_of_ranks(lesson):
    (network, train), how = lesson, MaskTrainingOptions("auto", 5, batch=8)
    alone = learn(*lesson, np.arange(CLASSES), how)

    def on_a_rank(ranks):
        share = train.images[ranks.rank :: ranks.size]
        images = Images(share, train.labels, train.is_right, ranks)
        return learn(network, images, np.arange(CLASSES), how)

    for found in on_ranks(3, on_a_rank):
        np.testing.assert_array_equal(found.betas, alone.betas)
        assert_same_logits(found, alone)


@pytest.mark.long
def test_all_ranks_find_what_one_process_does():
    data, how = colours(), {"beta": 1.0, "epochs": 8}
    alone = facts(disentangle(disjoint_model(), data, **how))
    models = [disjoint_model() for _ in range(3)]
    found = on_ranks(
        3, lambda ranks: facts(disentangle(models[ranks.rank], data, **how, communicator=ranks))
    )
    assert found == [alone] * 3


def test_the_gradient_is_that_of_the_paper():
    """Against finite differences of the loss, written down plainly."""
    data, model = colours(count=6), disjoint_model()
    network = MaskedNetwork(model, data.train.images)
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(CLASSES, 6)).astype(np.float32) for _ in range(2)]
    counts = rng.random((2, 6)).astype(np.float32)
    labels = data.train.labels

    def loss(logits):
        masks = [1 / (1 + np.exp(-np.float64(each))) for each in logits]
        x = data.train.images.mean(axis=(1, 2)) / 255  # 1x1 convolutions before a mean: linear
        first, second, last = (np.squeeze(w) for w in model.get_weights())
        # With positive weights ReLU does nothing, so means may be taken at once; the squares
        # need each pixel.
        pixels = data.train.images / 255
        a, b = pixels @ first, (pixels @ first) @ second
        am = a * masks[0][labels][:, None, None]
        bm = (am @ second) * masks[1][labels][:, None, None]
        outputs = bm.mean(axis=(1, 2)) @ last
        entropy = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(len(x)), labels]
        errors = ((am - a) ** 2).mean(axis=(1, 2, 3)) + ((bm - b) ** 2).mean(axis=(1, 2, 3))
        return (counts[0] * entropy + counts[1] * errors).sum() / 2

    images = tf.constant(data.train.images)
    plain = network.originals(images)
    given = [images, *map(tf.constant, (labels, labels, *counts)), *plain, *logits]
    found = [each.numpy() for each in network.gradients(*given)]
    for layer, unit, channel in [(0, 0, 1), (0, 2, 5), (1, 1, 2), (1, 0, 0), (1, 2, 1)]:
        ends = []
        for step in (1e-4, -1e-4):
            moved = [np.float64(each) for each in logits]
            moved[layer][unit, channel] += step
            ends.append(loss(moved))
        slope = (ends[0] - ends[1]) / 2e-4
        assert found[layer][unit, channel] == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_gradients_of_half_precision_layers_do_not_vanish():
    """The squared error of each of 65,536 values has a gradient below the least float16."""
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), dtype=np.uint8)
    found = []
    for policy in ("float32", "mixed_float16"):
        inputs, weights = keras.Input((64, 64, 1)), keras.initializers.GlorotUniform(0)
        x = layers.Conv2D(16, 1, dtype=policy, kernel_initializer=weights)(inputs)
        x = layers.GlobalAveragePooling2D()(x)
        network = MaskedNetwork(keras.Model(inputs, layers.Dense(2)(x)), images)
        zeros, plain = np.zeros(2, np.int32), network.originals(tf.constant(images))
        weights = np.zeros(2, np.float32), np.full(2, 1 / 32, np.float32)
        given = images, zeros, zeros, *weights, *plain, np.ones((1, 16), np.float32)
        (gradient,) = network.gradients(*map(tf.constant, given))
        found.append(gradient.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=0.02, atol=0.01 * np.ptp(found[0]))


@pytest.mark.parametrize("count", left_to_all(1, 2, 10))
def test_objective_does_not_depend_on_the_number_of_ranks(count):
    """Nor on ranks that have no image of some step, or none at all."""
    images, labels = (each[:10] for each in (colours().train.images, colours().train.labels))
    probabilities = np.eye(CLASSES, dtype=np.float32)[labels]
    models = [disjoint_model() for _ in range(3)]  # a model is traced by one thread at a time
    objective = DisentanglementObjective(images=10, epochs=8)

    def score(ranks):
        mine = slice(ranks.rank, count, ranks.size)
        given = images[mine], labels[mine], probabilities[mine]
        return objective.score(Subject(models[ranks.rank], ranks, NAMES, *given))

    alone = score(SingleProcess())
    assert (alone.value > 0) == (count > 1) == (not alone.reason)
    assert alone.metrics["disentanglement/classes"] == min(count, CLASSES)
    for found in on_ranks(3, score):
        assert found.value == pytest.approx(alone.value, abs=1e-6)
        assert found.metrics == pytest.approx(alone.metrics, abs=1e-6)


def scored(model, data, **options):
    images, labels = data.train.images, data.train.labels
    probabilities = model.predict(images / 255, verbose=0)
    given = Subject(model, SingleProcess(), NAMES, images, labels, probabilities)
    return DisentanglementObjective(images=len(labels), **options).score(given)


def test_objective_of_disjoint_and_of_shared_paths():
    found = scored(disjoint_model(), colours(), epochs=30)
    assert found.value == pytest.approx(1 + 11 / 34)  # as ``disentangle`` finds it
    assert found.metrics["disentanglement/uncorrected"] == 1
    assert found.metrics["disentanglement/false_alarms"] == 0
    assert found.metrics["disentanglement/all_kept"] == 0
    shared = scored(sharing_model(), colours(), epochs=6, beta=0.02)
    assert shared.value == 0 and shared.metrics["disentanglement/all_kept"] == CLASSES


@pytest.mark.long
def test_objective_does_not_reward_paths_that_say_their_class_to_everything():
    limited = scored(sharing_model(), colours(), epochs=12, beta=50)
    free = scored(sharing_model(), colours(), epochs=12, beta=50, false_alarms=1)
    assert free.metrics["disentanglement/false_alarms"] > 0.1
    assert limited.metrics["disentanglement/false_alarms"] <= 0.1
    assert limited.metrics["disentanglement/kept"] > free.metrics["disentanglement/kept"]


@pytest.mark.long
def test_objective_counts_classes_that_are_never_right_as_sharing_a_path():
    found = scored(blind_model(), colours(), epochs=30)
    assert found.metrics["disentanglement/classes"] == 2
    every = scored(disjoint_model(), colours(), epochs=30)
    assert 0 < found.value == pytest.approx(every.value / 3)  # one pair of three


def residual_model():
    """A block as in a residual network, and one convolution that is used twice."""
    inputs = keras.Input((6, 6, CLASSES))
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    stem = layers.Conv2D(4, 1, name="stem")(inputs)
    x = layers.BatchNormalization(name="norm")(twice(stem))
    x = twice(layers.ReLU(name="middle")(x))
    x = layers.ReLU(name="end")(layers.Add(name="sum")([x, stem]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (small_network, ["one", "relu"]),
        (Subclassed, ["end"]),
        (lambda: nested_model((6, 6, CLASSES)), ["end"]),
        (residual_model, ["stem", "middle", "end"]),
    ],
)
def test_blocks_of_every_kind_of_model_end_where_they_should(make, names):
    images = colours().train.images
    network = MaskedNetwork(make(), images)
    assert [tap.name for tap in network.taps] == names
    units = np.zeros(len(images), int)
    ones = [np.ones((1, tap.channels), np.float32) for tap in network.taps]
    plain = network.predict(images)
    np.testing.assert_allclose(network.predict(images, units, ones), plain, rtol=1e-5)
    last_off = [*ones[:-1], 0 * ones[-1]]
    masked = network.predict(images, units, last_off)
    np.testing.assert_allclose(masked, np.tile(masked[:1], (len(images), 1)), rtol=1e-5)
    assert not np.allclose(masked, plain)


def test_classes_are_named_by_text_and_numbered_by_integers():
    """As for ``targets`` of ``explain``, also where names are numbers."""
    names = ("1", "2", "3")
    assert _class_numbers([1, 2], names).tolist() == [1, 2]
    assert _class_numbers(["1", np.int64(2)], names).tolist() == [0, 2]
    with pytest.raises(InputError, match="`classes`: no class 3; allowed: 0 to 2"):
        _class_numbers([0, 3], names)


def test_layers_by_name_and_pattern():
    model, images = residual_model(), tf.zeros((1, 6, 6, CLASSES))
    assert [tap.name for tap in find_taps(model, images, "twice_2")] == ["twice_2"]
    several = [tap.name for tap in find_taps(model, images, ["twice*", "sum"])]
    assert several == ["twice", "twice_2", "sum"]
    with pytest.raises(InputError, match="`layers`.*'twyce' .did you mean 'twice'"):
        find_taps(model, images, ["twyce"])
    with pytest.raises(InputError, match="`layers` is empty"):
        find_taps(model, images, [])


class Block(layers.Layer):
    """Contains a layer of the same name as every other block."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(CLASSES, 1, name="conv")

    def call(self, x):
        return self.conv(x)


def test_layers_of_the_same_name_get_names_of_their_own():
    """Masks are saved by name, so one of them was lost."""
    inputs, shared = keras.Input((6, 6, CLASSES)), layers.Conv2D(CLASSES, 1, name="deep")
    x = shared(shared(Block()(Block()(inputs))))
    model = keras.Model(inputs, layers.Conv2D(CLASSES, 1, name="deep_2")(x))
    images = tf.zeros((1, 6, 6, CLASSES))
    names = ["conv", "conv_2", "deep", "deep_3", "deep_2"]
    taps = find_taps(model, images)
    assert [tap.name for tap in taps] == names
    for tap in taps:
        assert find_taps(model, images, tap.name) == [tap]


def test_channels_that_come_first_are_not_taken_for_columns():
    inputs = keras.Input((6, 5, CLASSES))
    x = layers.Permute((3, 1, 2))(inputs)
    outputs = layers.Conv2D(4, 1, data_format="channels_first", name="turned")(x)
    with pytest.raises(InputError, match="layer 'turned' expects its channels first"):
        find_taps(keras.Model(inputs, outputs), tf.zeros((1, 6, 5, CLASSES)))


def test_a_beta_that_empties_masks_is_recorded_and_leaves_no_nan(tmp_path):
    found = disentangle(sharing_model(), colours(), ["red", "2"], beta=1e9, epochs=12)
    known = facts(found)
    assert {each["layer"] for each in known["empty"]} == {"first"}
    assert {each["class"] for each in known["empty"]} == {"red", "blue"}
    json.dumps(known, allow_nan=False)
    assert known["layers"][0]["hit_rate"]["mean"] is None
    assert known["diversity"] == 0  # two empty masks are the same
    out = found.save(tmp_path / "out")
    assert {each.suffix for each in out.iterdir() if each.is_file()} == {
        ".html",
        ".png",
        ".json",
        ".npz",
    }
    with np.load(out / "masks.npz") as masks:
        assert set(masks.files) == {"class_names", "first"}
    with pytest.raises(InputError, match="already exists and was not touched"):
        found.save(out)


def test_options_that_are_numpy_numbers_are_saved(tmp_path, brief):
    options = MaskTrainingOptions(seed=np.arange(3)[1], tolerance=np.float32(0.5))
    write_facts(tmp_path / "facts.json", facts(replace(brief, mask_options=options)))
    settings = json.loads((tmp_path / "facts.json").read_text())["settings"]
    assert (settings["seed"], settings["tolerance"]) == (1, 0.5)


def test_only_classes_that_images_were_taken_for_are_confused(brief):
    assert [each["most_confused"] for each in facts(brief)["classes"]] == [[], [], []]
    page = paths_page(facts(brief))
    assert [row[-1] for row in page.findings[1]] == ["none"] * CLASSES
    alarms = [each["false_alarms"]["hard"] for each in facts(brief)["classes"]]
    assert [row[4] for row in page.findings[1]] == [f"{each:.1%}" for each in alarms]
    rows = disentanglement_tables(facts(brief))[-1].columns[-1].cells
    assert list(map(str, rows)) == ["none"] * CLASSES
    labels, predicted = np.array([0, 0, 0]), np.array([2, 1, 2])
    agreement = dict.fromkeys(("right", "wrong"), np.zeros((2, 3)))
    wrong = replace(brief.mistakes, labels=labels, predicted=predicted, total=3, **agreement)
    known = facts(replace(brief, mistakes=wrong))
    assert [each["most_confused"] for each in known["classes"]] == [["blue", "green"], [], []]
    # Each of three classes is among the three most similar to another.
    texts = [*paths_page(known).summary, *(each.name for each in paths_page(known).metrics)]
    assert "misclassified 3 of" in str(texts) and "three" not in str(texts)
    known["mistakes"] |= {"by_chance": 0.5, "taken_for_a_similar_class": 1.0}
    assert "chance would give 50.0%" in str(paths_page(known).summary)


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (0.1, "do not find their classes."),
        (0.2, "the difference may be due to chance."),
        (0.26, "the difference may be due to chance."),
        (0.36, "the difference may be due to chance."),
        (0.4, "chance would give 25.0%."),
    ],
)
def test_a_hit_rate_that_does_not_differ_clearly_from_chance_is_called_so(mean, verdict):
    """The layer that is quoted decides, with two standard errors: 2 * 0.1 / √3 = 0.115."""
    best = {"mean": 0.9, "deviation": 0.1, "classes": dict.fromkeys("abcd", 0.9)}
    rate = {"mean": mean, "deviation": 0.1, "classes": dict.fromkeys("abcd", mean)}
    text = hits_text({"chance": 0.25, "layers": [{"hit_rate": best}, {"hit_rate": rate}]})
    assert text.endswith(verdict) and f"{mean:.1%}" in text and "90.0%" not in text
    is_uncertain = "over 4 classes has a standard error of 5.8 percentage points" in text
    assert is_uncertain == ("due to chance" in verdict)


def test_a_hit_rate_of_one_class_is_uncertain():
    rate = {"mean": 0.9, "deviation": 0.0, "classes": {"a": 0.9, "b": None}}
    text = hits_text({"chance": 0.25, "layers": [{"hit_rate": rate}]})
    assert "uncertain" in text and "the hit rate is known for only one class" in text
    assert not hits_text({"chance": None, "layers": [{"hit_rate": rate}]})


@pytest.mark.parametrize(("count", "named"), [(2, 0), (3, 1), (4, 1), (5, 2), (7, 3), (9, 3)])
def test_at_most_half_of_the_other_classes_are_called_most_similar(count, named):
    """Of all others, none would stand out; one without a path of its own does not count."""
    names = [f"class {number}" for number in range(count)]
    alike = {"own_path": True, "keeps_all": False}
    classes = [{"class": n, "most_similar": [o for o in names if o != n], **alike} for n in names]
    full = {"class": "full", "most_similar": [], "own_path": False, "keeps_all": True}
    found = most_similar({"classes": [*classes, full]})
    assert bool(found) == (named > 0)
    assert not found or [len(found[name]) for name in names] == [named] * count


def blind_model(seen=(0, 1)):
    """Never answers with a class that is not seen."""
    model = disjoint_model()
    kernel = model.layers[-1].get_weights()[0]
    for number in set(range(CLASSES)) - set(seen):
        kernel[:, number] = -1
    model.layers[-1].set_weights([kernel])
    return model


def test_a_class_that_is_never_right_is_left_out_and_said_so():
    found = disentangle(blind_model(), colours(), epochs=2)
    assert list(found.left_out) == ["blue"] and "correctly" in found.left_out["blue"]
    assert found.paths.class_names == ["red", "green"]
    known = facts(found)
    json.dumps(known, allow_nan=False)
    # All blue images are misclassified, but not compared with paths, of which blue has none.
    assert (known["mistakes"]["count"], known["mistakes"]["compared"]) == (10, 0)
    first, _, second, *others = paths_page(known).summary
    assert first.endswith("The model is much worse for blue (0 of 10 correct).")
    assert second == f"blue has no path: {found.left_out['blue']}."
    assert "misclassified 10 of the 30 test" in others[-1]
    assert "None of these can be compared" in others[-1]
    (metrics, *_) = disentanglement_tables(known)
    rows = dict(zip(*(map(str, column.cells) for column in metrics.columns), strict=True))
    assert rows["misclassified images"] == "10 of 30"
    assert rows["of these, between classes with paths"] == "0"
    with pytest.raises(InputError, match="at least 2 are needed"):
        disentangle(blind_model(seen=(0,)), colours(), epochs=1)


def test_a_class_without_validation_images_is_left_out_where_its_accuracy_decides():
    """Any path would do for such a class, even one that never recognises it."""
    data = colours()
    seen = data.validation.select(np.flatnonzero(data.validation.labels != 1))
    found = disentangle(sharing_model(), replace(data, validation=seen), epochs=1, images=4)
    why = "there is no validation image of this kind on which to measure a path"
    assert found.left_out == {"green": why} and found.paths.class_names == ["red", "blue"]
    assert f"green has no path: {why}." in paths_page(facts(found)).summary
    with pytest.raises(InputError, match="1 of the chosen classes can have a path, but .* image"):
        disentangle(sharing_model(), replace(data, validation=seen), [0, 1], images=4)


@pytest.mark.parametrize("name", ["validation", "test"])
def test_an_empty_split_is_named(name):
    data = colours()
    empty = replace(data, **{name: data.test.select(np.arange(0))})
    with pytest.raises(InputError, match=f"data set colours: its {name} split is empty"):
        disentangle(cached_network(), empty)


def deviating_model():
    """The root of a mean has no slope at 0, where half of the channels always are."""
    inputs = keras.Input((6, 6, CLASSES))
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="first")(inputs)
    x = keras.ops.sqrt(keras.ops.mean(x, axis=(1, 2)))
    model = keras.Model(inputs, layers.Dense(CLASSES, use_bias=False)(x))
    signs = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)])
    return weighted(model, [signs.T, 10 * signs])


def test_gradients_that_are_not_finite_give_no_paths():
    """They gave empty paths, or full ones with the limits as the reason."""
    with pytest.raises(InputError, match="the gradients of the masks are not finite"):
        disentangle(deviating_model(), colours(), epochs=1)
    found = scored(deviating_model(), colours(), epochs=1)
    assert np.isnan(found.value) and "not finite" in found.reason


def test_the_accuracy_is_that_of_all_test_images_however_few_are_examined():
    """Blue, which is never predicted, is a third of the examined images but a tenth of all."""
    data, told = colours(), []
    # The images of the three classes take turns.
    uneven = replace(data, test=data.test.select(np.array([0] * 15 + [1] * 12 + [2] * 3)))
    found = disentangle(blind_model(), uneven, epochs=1, images=2, log=told.append)
    assert (found.accuracy.correct, found.accuracy.images) == (27, 30)
    assert "accuracy 90.00%: 27 of 30" in told[1]
    assert told[2].startswith("the metrics of the paths use 6 of these images: at most 2 of each")
    known = facts(found)
    assert known["images"]["test"] == 6 and known["mistakes"]["count"] == 2
    texts = paths_page(known).summary
    assert "27 of 30 test images" in texts[0]
    assert any(text.startswith("Everything below was measured on 6 of the 30") for text in texts)


def test_a_class_that_keeps_all_channels_has_no_path_of_its_own(brief):
    masks = [np.ones_like(logits) for logits in brief.paths.logits]
    for mask in masks:
        mask[1:, 2:] = -1
    known = facts(replace(brief, paths=replace(brief.paths, logits=masks)))
    assert [each["keeps_all"] for each in known["classes"]] == [True, False, False]
    assert [each["most_similar"] for each in known["classes"]] == [[], ["blue"], ["green"]]
    page = paths_page(known)
    assert any(text.startswith("red keeps all channels") for text in page.summary)
    assert "most similar paths" not in page.findings[0]  # only two classes have paths


def full_and_empty(found):
    """Red keeps all channels, green none, and blue the first of each layer."""
    masks = [np.ones_like(logits) for logits in found.paths.logits]
    for mask in masks:
        mask[1], mask[2, 1:] = -1, -1
    return replace(found, paths=replace(found.paths, logits=masks))


def test_mistakes_are_not_compared_with_full_or_empty_paths(brief):
    """Their similarity to all paths is 1, so that the class numbers would decide."""
    found = full_and_empty(brief)
    labels, predicted = np.array([0, 0, 2]), np.array([2, 1, 0])
    agreement = dict.fromkeys(("right", "wrong"), np.zeros((2, 3)))
    wrong = replace(found.mistakes, labels=labels, predicted=predicted, total=3, **agreement)
    known = facts(replace(found, mistakes=wrong))
    assert found.paths.has_own_path.tolist() == [False, False, True]
    assert known["mistakes"]["count"] == 3 and known["mistakes"]["compared"] == 0
    assert known["mistakes"]["taken_for_a_similar_class"] is None
    assert [each["most_similar"] for each in known["classes"]] == [[], [], []]
    assert "None of these can be compared" in paths_page(known).summary[-1]


def test_layers_in_which_all_classes_keep_all_channels_are_said_to_count_as_one_path(brief):
    """The page once gave a low diversity next to paths that share no more than random ones."""
    first, *others = (np.ones_like(logits) for logits in brief.paths.logits)
    first[:] = np.where(np.eye(*first.shape) > 0, 1, -1)  # no two classes share a channel
    known = facts(replace(brief, paths=replace(brief.paths, logits=[first, *others])))
    layers, alone = len(known["layers"]), 1 - known["layers"][0]["similarity"]
    assert alone > 1 and known["diversity"] == pytest.approx(alone / layers)
    page = paths_page(known)
    (text,) = (text for text in page.summary if "every class keeps all channels" in text)
    assert text.startswith(f"In {layers - 1} of {layers} layers, every class")
    assert f"affects {1 - 1 / layers:.1%} of all comparisons" in text
    assert text.endswith(f"The others have a diversity of {alone:.2f}.")
    shown = f"{alone:.2f} ({1 / layers:.1%} of comparisons)"
    assert shown in [metric.value for metric in page.metrics]
    cells = [[*column.cells] for column in disentanglement_tables(known)[0].columns]
    assert f"{alone:.2f} ({1 / layers:.1%} of the comparisons)" in cells[1]
    assert f"{layers - 1} of {layers}" in cells[1]
    first[:] = 1
    known = facts(replace(brief, paths=replace(brief.paths, logits=[first, *others])))
    (text,) = (text for text in paths_page(known).summary if "every class keeps" in text)
    assert "affects 100.0% of all" in text and "The others" not in text


def test_the_diversity_without_full_and_empty_masks_is_that_of_the_other_pairs():
    """The mean over all pairs in all layers, found pair by pair."""
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(4, channels)) for channels in (5, 3, 7)]
    logits[0][0], logits[1][1], logits[2][:2] = 1, -1, 1
    paths = Paths(["a", "b", "c"], logits, np.ones(4), list("wxyz"))
    layers = [
        {"channels": int(count), "kept": dict(zip("wxyz", kept.tolist(), strict=True))}
        for count, kept in zip(paths.channels, paths.kept, strict=True)
    ]
    found = comparisons({"layers": layers, "diversity": paths.diversity})
    partial = (paths.share > 0) & (paths.share < 1)
    others = [
        1 - paths.layer_similarity[layer, i, j]
        for layer in range(3)
        for i, j in itertools.combinations(range(4), 2)
        if partial[layer, i] and partial[layer, j]
    ]
    assert (found.total, found.total - found.same) == (18, len(others))
    assert found.diversity == pytest.approx(np.mean(others))


def test_equal_lines_near_one_are_not_called_separate_paths():
    text = CAPTIONS["layer_similarity"].text
    assert "separate channels" not in text and "differ as much as random ones do" in text
    assert "both lines are at or near 1" in text and "nothing can be said" in text


@pytest.mark.parametrize(
    ("beta", "false_alarms", "reason"),
    [
        ("auto", 0.1, "channels: no smaller path met the limits on accuracy and false alarms."),
        (1.0, 0.1, "channels: no smaller path met the limit on false alarms at the end"),
        (1.0, 1.0, "channels. green"),
    ],
)
def test_classes_that_keep_all_channels_or_none_are_named(beta, false_alarms, reason, brief):
    known = facts(full_and_empty(brief))
    known["settings"] |= {"beta": beta, "false_alarms": false_alarms}
    (text,) = (text for text in paths_page(known).summary if text.startswith("red keeps all"))
    assert reason in text and "green keeps no channel." in text and "blue" not in text


def test_a_class_is_left_out_for_the_images_that_were_used():
    found = disentangle(blind_model(), colours(), epochs=1, images=5)
    assert "at most 5 of each kind" in found.left_out["blue"]


def test_a_page_on_a_network_at_chance_draws_no_conclusion_from_the_paths(brief):
    known = facts(brief)
    assert any("diversity of the paths" in text for text in paths_page(known).summary)
    known["accuracy"] = Accuracy(10, 30, 10).as_dict()
    texts = paths_page(known).summary
    assert "no better than that of always" in texts[0]
    assert not any("diversity of the paths" in text for text in texts)


def test_pictures_show_each_class_and_do_not_exaggerate_small_confusions(brief):
    (axis,) = brief.plot("kept").axes
    dots, bars = axis.lines[0], axis.containers[0].lines[0]
    assert dots.get_zorder() > bars.get_zorder() and dots.get_markersize() > 4
    similarity, probability, *_ = brief.plot("similarity").axes
    assert probability.images[0].get_clim() == (0, 10)  # in percent
    assert not probability.get_ylabel() and "rows: class of the images" in probability.get_title()


def test_auto_bounds_false_alarms():
    found = disentangle(sharing_model(), colours(), epochs=12, false_alarms=0.0)
    free = disentangle(sharing_model(), colours(), epochs=12, false_alarms=1)
    assert found.paths.share.mean() > free.paths.share.mean()
    assert found.hard.false_alarms.mean() == 0 < free.hard.false_alarms.mean()


def with_convolution(classes, shape=(6, 6, CLASSES)):
    inputs = keras.Input(shape)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(inputs))
    return keras.Model(inputs, layers.Dense(classes)(x))


def broken_model():
    model = small_network()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    return model


@cache
def cached_network():
    """For what is refused before the network is changed."""
    return small_network()


@pytest.mark.parametrize(
    ("make", "options", "problem"),
    [
        (lambda: dense_model((6, 6, CLASSES)), {}, "the model has no convolutions"),
        (lambda: with_convolution(1), {}, "has 3 classes, but the model has 2"),
        (lambda: with_convolution(4), {}, "3 classes, but the model has 4"),
        (lambda: with_convolution(3, (9, 9, 1)), {}, r"the model expects \(9, 9, 1\)"),
        (broken_model, {}, "not finite"),
        (cached_network, {"layers": ["won"]}, "'won' .did you mean 'two'"),
        (cached_network, {"classes": ["rot"]}, "`classes`: no class 'rot'"),
        (cached_network, {"classes": ["red", "0"]}, "fewer than two classes"),
        (cached_network, {"beta": -1.0}, "`beta` -1.0: allowed"),
        (cached_network, {"beta": float("nan")}, "`beta` nan: allowed"),
        (cached_network, {"epochs": 0}, "`epochs` 0"),
        (cached_network, {"tolerance": 2.0}, "`tolerance` 2.0"),
        (cached_network, {"tolerance": "a"}, "`tolerance` a: allowed: 0 to 1"),
        (cached_network, {"false_alarms": -1.0}, "`false_alarms` -1.0"),
        (cached_network, {"seed": -1}, "`seed` is -1"),
        (cached_network, {"images": 0}, "`images` 0"),
    ],
)
def test_what_is_wrong_is_said(make, options, problem):
    with pytest.raises(InputError, match=problem):
        disentangle(make(), colours(), **options)


@pytest.mark.long
def test_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))).save("model.keras")
    words = ["disentangle", "model.keras", "--dataset", "digits", "--epochs", "2", "--images", "20"]
    done = CliRunner().invoke(main, [*words, "--format", "json"])
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "disentanglements" / "model"
    known = json.loads(done.stdout)
    assert known == json.loads((folder / "disentanglement.json").read_text())
    assert known["settings"]["false_alarms"] == DisentanglementObjective().false_alarms == 0.1
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2 and "already exists and was not touched" in again.stderr
    table = CliRunner().invoke(main, [*words, "--out", "new", "--beta", "0.1", "--layers", "conv"])
    assert table.exit_code == 0 and "diversity of paths" in table.stdout
    for wrong, problem in (
        (["--beta", "much"], "--beta 'much': allowed: auto, or a number"),
        (["--candidate", "3"], "model.keras is not a run"),
        (["--layers", "cnv"], "did you mean 'conv'"),
    ):
        done = CliRunner().invoke(main, [*words, *wrong, "--out", "never"])
        assert done.exit_code == 2 and problem in " ".join(done.stderr.split())
        assert not (tmp_path / "never").exists()
    done = CliRunner().invoke(main, ["disentangle", "model.keras", "--out", "never"])
    assert done.exit_code == 2 and "give --dataset NAME" in done.stderr
