"""Pages for readers who know the images: what they say follows from the metrics."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from xnas_tf.attribution import attribution_method
from xnas_tf.explanation import Explanation, explain
from xnas_tf.explanation.drawing import COLUMNS, overlay
from xnas_tf.explanation.expert_text import (
    MOST_CLASSES,
    MOST_FINDINGS,
    QUALITY,
    _by_class,
    explanation_page,
    metric_rows,
)
from xnas_tf.explanation.quality import RANDOM_KEY, quality_of
from xnas_tf.explanation.regions import concentrations
from xnas_tf.explanation.tables import explanation_tables
from xnas_tf.explanation.trust_text import trust_paragraphs
from xnas_tf.interpretation.accuracy_text import accuracy_paragraph
from xnas_tf.interpretation.drawing import short, wrapped
from xnas_tf.interpretation.expert_page import Caption, ExpertPage, listed
from xnas_tf.interpretation.flint.drawing import _relevance_figure
from xnas_tf.interpretation.flint.expert_text import interpretation_page
from xnas_tf.interpretation.nad.drawing import _similarity_figure
from xnas_tf.interpretation.nad.expert_text import _mistakes_text
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.training.class_predictions import OtherRange

HOSTILE = '<script>alert(1)</script> & "a" | Egyptian Mau cat with a long name'


def interpretation(fidelity):
    test = {
        "accuracy": {"f": 0.9, "g": 0.8},
        "fidelity": {"top1": fidelity},
        "conciseness": {"5": 1.5},
        "unused_attributes": 1,
        "attribute_use": [0.5, 0.0, 0.25],
    }
    relevance = [[1.0, 0.0, -0.6], [0.1, 0.0, 0.9]]
    return {"test": test, "class_names": [HOSTILE, "dog"], "class_relevance": relevance}


TRIED = (
    OtherRange("-1-1", 32, 32, 168, 0.5, False),
    OtherRange("0-255", 158, 32, 168, 0.93, True),
)


@pytest.mark.parametrize(("correct", "is_chance"), [(95, False), (50, True)])
def test_a_model_at_chance_is_called_so(correct, is_chance):
    text = accuracy_paragraph(Accuracy(correct, 100, 50).as_dict())
    assert f"{correct} of 100" in text and "would give 50.0%" in text
    assert ("no better than that of always" in text) == is_chance
    assert not accuracy_paragraph(None)


@pytest.mark.parametrize(("correct", "images", "commonest"), [(2, 2, 1), (39, 40, 38)])
def test_a_model_that_may_be_better_than_chance_is_not_called_no_better(correct, images, commonest):
    accuracy = Accuracy(correct, images, commonest)
    text = accuracy_paragraph(accuracy.as_dict())
    assert "not clearly better" in text and "too few test images to tell" in text
    assert "no better" not in text and "wrong" not in text  # no cause is known
    others = explanation_page(explained(accuracy)).summary[1:]
    assert any(each.startswith("Grad-CAM: can be used") for each in others)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_known_range_is_not_named_as_a_cause(is_known):
    origin = "trained" if is_known else "assumed"
    accuracy = Accuracy(10, 100, 12, input_range="0-1", range_origin=origin)
    text = accuracy_paragraph(accuracy.as_dict())
    assert ("the training may have failed" in text) == is_known
    assert ("range of the input values" in text) != is_known


@pytest.mark.parametrize(("fidelity", "is_low"), [(0.95, False), (0.5, True)])
def test_an_interpreter_of_low_fidelity_is_not_to_be_used(fidelity, is_low):
    text = " ".join(interpretation_page(interpretation(fidelity)).summary)
    assert ("do not use this page" in text) == is_low and f"{fidelity:.1%}" in text


def test_agreement_is_not_said_to_explain_the_network():
    """The limits at the end of the page say that both may have different reasons."""
    page = interpretation_page(interpretation(0.95))
    text = " ".join(page.summary)
    assert "the network may have other reasons" in text and "explains the network" not in text
    assert "for different reasons" in page.limits[0]


def test_attributes_count_for_and_against_classes():
    headings, rows = interpretation_page(interpretation(0.9)).findings
    assert [row[0] for row in rows] == ["0", "2"]  # 1 never matters
    assert rows[0][1:] == [f"{HOSTILE} (1.00)", "none", "50.0% of the images"]
    assert rows[1][1:3] == ["dog (0.90)", f"{HOSTILE} (-0.60)"] and len(headings) == 4


def test_an_attribute_that_matters_for_single_images_has_no_class_on_average():
    known = {**interpretation(0.9), "class_relevance": [[1.0, 0.0, -0.2], [0.1, 0.0, 0.2]]}
    first, second = interpretation_page(known).findings[1]
    assert "none" in first and second == ["2", *["no class on average"] * 2, "25.0% of the images"]


@pytest.mark.parametrize(
    ("count", "end"),
    [(0, "none"), (2, "c0 and c1"), (20, "c18 and c19"), (1000, "c18 and 981 more")],
)
def test_a_sentence_names_at_most_twenty_classes(count, end):
    text = listed([f"c{number}" for number in range(count)])
    assert text.endswith(end) and text.count(",") <= 18


def test_texts_stay_texts_and_pictures_are_in_the_page():
    page = ExpertPage(
        HOSTILE,
        [HOSTILE],
        findings=([HOSTILE], [[HOSTILE]] * 60),
        captions={"b": Caption(HOSTILE, HOSTILE)},
        limits=[HOSTILE, f"`{HOSTILE}`"],
    )
    shown = page.html(HOSTILE, {"a": b"\x89PNG", "b": b"\x89PNG"})
    assert "<code>&lt;script&gt;" in shown and "`" not in shown
    assert "<script" not in shown and shown.count("&lt;script&gt;") > 60
    sources = re.findall(r'(?:src|href)="([^"]*)"', shown)
    assert all(source.startswith(("data:image/png", "#")) for source in sources)
    assert shown.index('id="b"') < shown.index('id="a"')  # pictures with captions come first
    # What is wider than the page scrolls, also with the keyboard.
    assert shown.count('tabindex="0"') == shown.count("<table") + shown.count("<img")


def test_every_metric_of_an_explanation_has_a_meaning(tmp_path):
    keras = pytest.importorskip("keras")
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    images = np.random.default_rng(0).random((2, 6, 6, 1), np.float32)
    method, classes = attribution_method("integrated_gradients")(steps=2), np.array([0, 1])
    maps = method(model, images, classes)
    quality = quality_of(model, images, method, maps, classes)
    assert set(quality) == set(QUALITY)
    names = [HOSTILE, "a_very_long_name_without_any_space_in_it"]
    found = Explanation(images, np.eye(2), classes, names, classes[::-1], {method: maps})
    found.quality[method] = quality
    shown = (found.save(tmp_path / "out", "title") / "index.html").read_text("utf-8")
    assert "misclassifies 2 of them" in shown and "<script" not in shown
    assert "explain --mistakes" in shown
    said = html.unescape(shown)
    assert all(name in said and meaning in said for name, meaning in QUALITY.values())
    assert not [name for name in QUALITY if "_" in name and name in shown]  # names of code


@pytest.mark.parametrize(
    ("labels", "headings", "caption"),
    [
        (None, ["predicted: a", "predicted: b"], "with the class that the model predicts, because"),
        (np.array([0, 0]), ["a", "a, predicted b"], "with their true class; mistakes are red."),
    ],
)
def test_the_class_above_an_image_is_called_predicted_if_the_true_one_is_not_known(
    labels, headings, caption
):
    maps = {attribution_method("grad_cam")(): np.ones((2, 6, 6))}
    images = np.zeros((2, 6, 6, 1))
    found = Explanation(images, np.eye(2), np.array([0, 1]), ["a", "b"], labels, maps)
    shown = [text.get_text().replace("\n", " ") for text in found.plot().axes[0].texts]
    assert shown == headings
    assert caption in explanation_page(found.as_dict()).captions["overview-1"].text


CLEAR, UNCLEAR = [0.5, 0.6, 0.4, 0.5, 0.6], [0.5, -0.6, 0.1, -0.1, 0.2]
OPPOSITE = [-0.2, -0.3, -0.1, -0.2, -0.3]


def measured(agreement, insertion=(), similarity=0.1):
    """A measured method, with random maps whose insertion and deletion are 0.5."""
    quality = {
        "sensitivity_n": {"mean": None, "images": agreement},
        "insertion": {"mean": None, "images": list(insertion)},
        "deletion": {"mean": None, "images": [0.5] * len(insertion)},
        "randomization": {"mean": similarity, "images": [similarity]},
    }
    random = {name: {"mean": 0.5, "images": [0.5] * 5} for name in ("insertion", "deletion")}
    methods = {"grad_cam": {"title": "Grad-CAM", "quality": quality}}
    return {"images": [{}] * 5, "methods": methods, RANDOM_KEY: random}


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (measured(CLEAR, [0.8, 0.9, 0.8, 0.9, 0.8]), "can be used. "),
        (measured([v / 4 for v in CLEAR]), "can be used with care. "),
        (measured(CLEAR, [0.4, 0.3, 0.4, 0.3, 0.5]), "weak evidence. "),
        (measured(CLEAR, similarity=0.925), "weak evidence. "),
        (measured(UNCLEAR, [0.8, 0.9, 0.8, 0.9, 0.8]), "can be used for regions, not for single"),
        (measured(UNCLEAR, [0.4, 0.3, 0.4, 0.3, 0.5]), "not reliable here. "),
        (measured(UNCLEAR, similarity=0.925), "not reliable here. "),
        (measured(OPPOSITE, [0.8, 0.9, 0.8, 0.9, 0.8]), "not reliable here. "),
        (measured(OPPOSITE, [0.4, 0.3, 0.4, 0.3, 0.5]), "not reliable here. "),
        (measured([0.5, 0.6, None, None, None]), "not tested. "),
    ],
)
def test_each_method_gets_one_verdict(known, verdict):
    texts = trust_paragraphs(known)
    # The scale of agreement is explained if an agreement is shown.
    assert len(texts) == 2 + ("(agreement" in texts[1])
    assert ("Agreement: " in texts[-1]) == ("(agreement" in texts[1])
    assert texts[1].startswith(f"Grad-CAM: {verdict}") and "5 images" in texts[0]
    cautions = ("mostly show the image itself", "too pessimistic for images with large black")
    assert all((caution in texts[1]) == ("similar (" in texts[1]) for caution in cautions)


@pytest.mark.parametrize("insertion", [[0.8, 0.9, 0.8, 0.9, 0.8], [0.4, 0.3, 0.4, 0.3, 0.5]])
def test_maps_that_mark_the_wrong_pixels_are_called_so(insertion):
    """Only if their agreement is below 0 by more than two standard errors."""
    (_, opposite, scale) = trust_paragraphs(measured(OPPOSITE, insertion))
    assert "lowers the score clearly less than hiding others (agreement -0.22)" in opposite
    assert ("even though the parts" in opposite) == (insertion[0] > 0.5)
    assert "below 0 if hiding others lowers it more" in scale
    (_, unclear, _) = trust_paragraphs(measured([v - 0.2 for v in UNCLEAR], insertion))
    assert "(agreement -0.18)" in unclear and "clearly less" not in unclear


def test_methods_of_the_same_title_are_named_by_their_keys():
    known = measured(CLEAR)
    known["methods"]["grad_cam_2"] = known["methods"]["grad_cam"]
    assert [text.partition(":")[0] for text in trust_paragraphs(known)[1:3]] == [
        "grad_cam",
        "grad_cam_2",
    ]
    assert "grad_cam_2: 0.100" in [each.value for each in metric_rows(known)][-1]


def test_an_advantage_that_is_not_significant_is_not_called_none():
    (_, text, _) = trust_paragraphs(measured(CLEAR, [1.0, 0.0, 1.0, 1.0, 0.5]))
    assert "does not change the probability clearly faster" in text and "no faster" not in text


def test_one_undefined_similarity_does_not_hide_the_others():
    known = measured(CLEAR)
    quality = known["methods"]["grad_cam"]["quality"]
    quality["randomization"] = {"mean": None, "images": [0.9, None, 0.9, 0.9, 0.9]}
    assert "correlation 0.90" in trust_paragraphs(known)[1]


def test_maps_without_metrics_are_called_unmeasured():
    (text,) = trust_paragraphs({"images": [{}], "methods": {"a": {"title": "A", "quality": {}}}})
    assert "was not measured" in text


def explained(accuracy=None, **more):
    """The content of an explanation of two images by a method that looks good."""
    known = measured(CLEAR)
    known["methods"]["grad_cam"] |= {"empty": [False] * 5, "concentrated": []}
    image = {"file": None, "predicted": "a", "probability": 1, "explained": "a", "label": "b"}
    by_class = accuracy.classes(["a", "b", HOSTILE]) if accuracy else []
    known |= {"images": [image] * 5, "accuracy": accuracy and accuracy.as_dict(), "warnings": []}
    return known | {"accuracy_by_class": by_class} | more


def test_a_page_begins_with_the_accuracy_and_the_classes_that_are_much_worse():
    accuracy = Accuracy(137, 168, 88, by_class=((88, 88), (48, 48), (1, 32)))
    first, *others = explanation_page(explained(accuracy)).summary
    assert first.startswith("The model classifies 137 of 168 test images")
    assert first.endswith(f"The model is much worse for {HOSTILE} (1 of 32 correct).")
    assert any(text.startswith("Grad-CAM: can be used") for text in others)
    several = Accuracy(455, 600, 400, by_class=((400, 400), (30, 100), (25, 100)))
    listed_classes = f"for {HOSTILE} (25 of 100 correct) and b (30 of 100 correct)."
    assert explanation_page(explained(several)).summary[0].endswith(listed_classes)
    even = Accuracy(90, 120, 40, by_class=((30, 40), (28, 40), (32, 40)))
    assert "worse" not in explanation_page(explained(even)).summary[0]


def test_a_page_on_a_model_at_chance_draws_no_conclusion_from_the_maps():
    """It names the range that is clearly better, as the command does."""
    page = explanation_page(
        explained(Accuracy(32, 168, 88, 0.6, ((0, 88),), "0-1", "given", TRIED))
    )
    first, *others = page.summary
    assert "no better than that of always" in first and "worse for" not in first
    assert "were in the range 0 to 1. With 0 to 255, the model is right on 158 of" in page.problem
    assert "`--input-range 0-255`" in page.problem and "-1-1" not in page.problem
    assert '(in Python: `input_range="0-255"`)' in page.problem
    assert not any("Grad-CAM:" in text for text in others)
    unknown = Accuracy(32, 168, 88, 0.6, (), "0-1", tried=TRIED[:1])
    assert "order of the classes" in accuracy_paragraph(unknown.as_dict())
    assert not explanation_page(explained(unknown)).problem


def test_a_page_says_first_that_another_range_than_the_assumed_one_is_better():
    """Even if the model is above chance with the assumed one; nothing else is concluded then."""
    wrong = Accuracy(100, 168, 60, 0.6, ((88, 88), (12, 80)), "0-1", "assumed", TRIED)
    page = explanation_page(explained(wrong))
    assert (
        "were assumed to be in the range 0 to 1. With 0 to 255, the model is right" in page.problem
    )
    shown = page.html("", {})
    assert shown.index('class="problem"') < shown.index("100 of 168")
    assert "worse for" not in shown and "Grad-CAM: can be used" not in shown


@pytest.mark.parametrize(("origin", "says"), [("assumed", True), ("given", False), (None, False)])
def test_a_page_says_that_the_range_was_assumed(origin, says):
    accuracy = Accuracy(160, 168, 60, 0.9, (), "0-1", origin, TRIED[:1])
    page = explanation_page(explained(accuracy))
    text = " ".join(page.summary)
    assert ("The range was assumed to be 0 to 1; the other usual ranges" in text) == says
    assert not page.problem and "Grad-CAM: can be used" in text
    files = explained(None, input_range="0-1", range_origin=origin, other_ranges=[])
    text = " ".join(explanation_page(files).summary)
    assert ("To check it, use images whose classes are known" in text) == says


def unsure_text(*others, origin="assumed"):
    """The text about a model of accuracy 0.9 and low confidence; others: accuracy, confidence."""
    ranges = zip(("0-255", "-1-1"), others, strict=False)
    tried = tuple(OtherRange(n, c, 90, 100, p, c > 95) for n, (c, p) in ranges)
    return accuracy_paragraph(Accuracy(90, 100, 10, 0.4, (), "0-1", origin, tried).as_dict())


def test_a_higher_confidence_alone_does_not_tell_the_range():
    """The values of a model without biases can be scaled without changing its predictions."""
    same = unsure_text((90, 0.99))
    assert "With the range 0-255" in same and "may have been trained" in same
    assert "probably" not in same
    clear = unsure_text((99, 0.99))  # clearly more accurate, as another paragraph says
    assert "only 40.0%" in clear and "--input-range" not in clear
    nothing = [unsure_text((90, 0.45)), unsure_text((90, 0.99), origin="given")]
    assert not any("--input-range" in each for each in nothing)
    assert all("only 40.0%" in each for each in (same, *nothing))


def test_only_ranges_that_are_no_less_accurate_are_named():
    text = unsure_text((85, 0.999), (91, 0.88))
    assert "With the range -1-1, its accuracy is 91.0%" in text and "0-255" not in text


def test_a_page_of_mistakes_says_so():
    shown, chosen = (
        explanation_page(explained(Accuracy(90, 100, 50), only_mistakes=mistakes))
        for mistakes in (False, True)
    )
    assert "misclassifies 5 of them" in shown.summary[1]
    assert "in Python: `mistakes=True`" in shown.limits[-1]
    assert "explain --mistakes" in shown.limits[-1]
    assert "Only misclassified images were chosen" in chosen.summary[1]
    assert "misclassifies" not in chosen.summary[1] and "without `--mistakes`" in chosen.limits[-1]


@pytest.mark.parametrize(("classes", "shown"), [(3, 3), (MOST_CLASSES + 1, MOST_FINDINGS)])
def test_accuracies_by_class_are_a_table_in_the_order_of_the_classes(classes, shown):
    """Of many classes, only those with the lowest accuracy are shown."""
    correct = [5, *[9] * (classes - 2), 7]
    counted = [
        {"class": f"class {i}", "correct": count, "images": 10} for i, count in enumerate(correct)
    ]
    title, (headings, rows) = _by_class({"accuracy_by_class": counted})
    assert len(rows) == shown and all(len(row) == len(headings) for row in rows)
    assert [row[0] for row in rows[:2]] == ["class 0", "class 1" if classes == 3 else "class 30"]
    assert rows[0][1:4] == ["10", "5", "50.0%"] and "23.7% to 76.3%" in rows[0]
    assert (f"lowest of {classes}" in title) == (classes > shown)


def test_mistakes_between_classes_without_paths_are_counted_but_not_compared():
    known = {"count": 20, "compared": 0, "taken_for_a_similar_class": None, "by_chance": 0.5}
    text = _mistakes_text({"mistakes": known, "images": {"test": 1200}})
    assert "misclassified 20 of the 1,200 test images" in text
    assert "None of these can be compared" in text
    compared = {**known, "compared": 5, "taken_for_a_similar_class": 0.4}
    some = _mistakes_text({"mistakes": compared})
    assert "Only 5 of these" in some and "For 40.0% of these" in some


def test_maps_are_drawn_over_grey_with_a_scale_and_flat_ones_are_marked():
    pytest.importorskip("matplotlib")
    images = np.zeros((2, 6, 6, 3), np.uint8)
    images[..., 1] = 180  # green
    method = attribution_method("grad_cam")()
    maps = np.stack([np.linspace(0, 1, 36).reshape(6, 6), np.linspace(0.95, 1, 36).reshape(6, 6)])
    found = Explanation(images, np.eye(2), np.array([0, 1]), "ab", maps={method: maps})
    (warning,) = found.warnings
    assert warning.startswith("Grad-CAM is flat for 1 of 2 images")
    first, row, scale = found.figure().axes
    assert row.images[0].get_array().ndim == 2 and first.images[0].get_array().ndim == 3
    assert [text.get_text() for text in row.texts] == ["flat map"]
    assert [each.get_text() for each in scale.get_yticklabels()] == ["unimportant", "important"]


def test_empty_maps_are_left_out_of_means_and_named(tmp_path):
    """Grad-CAM of a network in which every channel counts against the first class."""
    keras = pytest.importorskip("keras")
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3, kernel_initializer="ones")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model.layers[-1].set_weights([np.tile([-1.0, 1.0], (32, 1)), np.zeros(2)])
    images = np.random.default_rng(0).random((3, 6, 6, 1), np.float32)
    found = explain(model, images, ["grad_cam"], targets=np.array([0, 1, 0]), measured=True)
    (method,) = found.maps
    for values in found.quality[method].values():
        assert np.isnan(values).tolist() == [True, False, True]
    known = found.as_dict()
    stored = known["methods"]["grad_cam"]
    assert stored["empty"] == [True, False, True]
    for name, measured in stored["quality"].items():
        assert measured["mean"] == pytest.approx(found.quality[method][name][1])
    (warning,) = found.warnings
    assert warning.startswith("Grad-CAM is empty for 2 of 3 images: no region")
    page = explanation_page(known)
    assert f"{warning}." in page.summary and "(1 of 3 images)" in page.metrics[0].value
    texts = [each.get_text() for axes in found.plot().axes for each in axes.texts]
    assert texts.count("empty map") == 2
    marked, unmarked = (overlay(images[0], found.maps[method][i], False) for i in (0, 1))
    white = [(np.asarray(each) == 255).all(axis=-1).any() for each in (marked, unmarked)]
    assert white == [True, False]


def test_maps_in_one_place_are_a_finding():
    maps = np.full((6, 9, 9), 0.01)
    maps[:3, :3, :3] = [[[1.0]], [[-2.0]], [[0.0]]]  # the first class, in the upper left
    maps[2] = 0
    targets = np.array([0, 0, 0, 1, 1, 2])
    (found,) = concentrations(maps, targets)
    assert found[:2] == (0, "upper left") and found.images == 2  # without the empty map
    inside = [9 * n / (9 * n + 72 * 0.01) for n in (1, 2)]
    assert found.share == pytest.approx(np.mean(inside))
    assert not concentrations(np.ones((4, 2, 2)), targets[:4])
    point = np.zeros((2, 8, 10))
    point[:, 5, 3] = 1  # on two borders: two thirds of it are lower, two thirds in the middle
    (found,) = concentrations(point, targets[:2])
    assert found.region == "lower middle" and found.share == pytest.approx(4 / 9)


def test_names_fit():
    assert short("dog") == "dog" and len(short(HOSTILE)) <= 24
    lines = wrapped(f"true: {HOSTILE}\nb", 1.5).split("\n")
    assert lines[-1] == "b" and "".join("".join(lines[:-1]).split()) == "true:" + HOSTILE.replace(
        " ", ""
    )
    assert max(map(len, lines)) <= 22


@pytest.mark.parametrize(("names", "text"), [([], "none"), ("a", "a"), ("abc", "a, b and c")])
def test_names_are_listed(names, text):
    assert listed(list(names)) == text


@pytest.mark.parametrize(
    ("agreement", "is_said"), [(CLEAR, True), (UNCLEAR, False), (OPPOSITE, False), ([], True)]
)
def test_no_finding_comes_from_maps_that_are_called_not_reliable(agreement, is_said):
    spot = {"target": "grass", "share": 0.34, "region": "middle", "images": 2}
    known = explained()
    known["methods"]["grad_cam"] |= {
        "quality": measured(agreement)["methods"]["grad_cam"]["quality"],
        "concentrated": [spot],
    }
    texts = explanation_page(known).summary
    found = [text for text in texts if "34% of the map of Grad-CAM" in text]
    assert bool(found) == is_said
    assert any("Grad-CAM: not reliable here" in text for text in texts) != is_said
    assert all(text.startswith("In explanations of the score of grass") for text in found)


@pytest.mark.parametrize("files", [True, False])
def test_images_have_the_same_numbers_in_the_table_and_above_the_pictures(files):
    known = explained()
    image = known["images"][0] | {"file": "a.png" if files else None}
    known["images"] = [image] * (2 * COLUMNS + 1)
    page = explanation_page(known)
    headings, rows = page.findings
    assert headings[:2] == (["image", "file"] if files else ["image", "predicted class"])
    assert [row[0] for row in rows] == [str(number) for number in range(1, 2 * COLUMNS + 2)]
    assert all(len(row) == len(headings) for row in rows)
    titles = [caption.title for caption in page.captions.values()][1:]
    assert titles == [f"Images {COLUMNS + 1} to {2 * COLUMNS}", f"Image {2 * COLUMNS + 1}"]
    first, *others = explanation_tables(known)[0].columns
    assert [*first.cells] == [row[0] for row in rows]
    assert [column.header for column in others][: 2 * files] == ["file", "predicted"][: 2 * files]


@pytest.mark.parametrize("count", [5, 100, 1000])
def test_figures_of_many_classes_are_not_too_large_to_draw(count):
    """A thousand classes took six gigapixels; all names are shown while there is room for them."""
    names = [f"class {number}" for number in range(count)]
    values = np.eye(count)
    paths = SimpleNamespace(class_names=names, similarity=values)
    answers = SimpleNamespace(class_relevance=values)
    for figure in (_similarity_figure(paths, values), _relevance_figure(answers, names)):
        width, height = figure.get_size_inches()
        assert width < 50 and height < 30
        axis = figure.axes[0]
        shown = [axis.get_yticks(), [each.get_text() for each in axis.get_yticklabels()]]
        assert [names[int(place)] for place in shown[0]] == shown[1]
        assert len(shown[1]) == min(count, 112 if count > 120 else count)
