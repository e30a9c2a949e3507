"""Texts that explain classes' paths to readers who know the images."""

from __future__ import annotations

import math
from typing import Any

from xnas_tf.interpretation.accuracy_text import (
    accuracy_paragraph,
    assumed_range_text,
    means_little,
    range_warning,
)
from xnas_tf.interpretation.expert_page import Caption, ExpertPage, listed, number, percent
from xnas_tf.interpretation.nad.expert_metrics import path_findings, path_metrics
from xnas_tf.interpretation.nad.tables import (
    can_differ_from_chance,
    compared_mistakes,
    comparisons,
    full_layers,
    has_own_path,
)
from xnas_tf.utils.intervals import STANDARD_ERRORS
from xnas_tf.utils.number_format import counted

CAPTIONS = {
    "similarity": Caption(
        "Which classes the network treats as similar",
        "Left: how much the paths of two classes have in common. 1 means that the paths are the "
        "same, or that one class keeps all channels or none and so has no path of its own. 0 (the "
        "dashed line on the scale) means that they share no more than random paths. Right: the "
        "mean probability that the network gives to each class on images of each other class. "
        "Pairs that stand out on both sides look similar to the network.",
    ),
    "paths": Caption(
        "The paths of some classes",
        "There is one column per layer, from the input on the left to the output on the right, and "
        "one bar per channel. Blue channels are only on this path, orange ones are also on another "
        "path shown here, and grey ones are not on the path.",
    ),
    "kept": Caption(
        "How much of each layer a path needs",
        "The share of channels on the path, by layer. Each grey circle is a class. The line is "
        "their mean, and its bars show how much the classes differ. Layers where few channels "
        "remain are specialised.",
    ),
    "layer_similarity": Caption(
        "Where the paths separate",
        "How many channels two paths share, by layer, as a share of all channels on either path. "
        "The dashed line is what random paths of the same sizes would share. Where the solid line "
        "is close to it, the paths differ as much as random ones do; above it, they share more, "
        "and below it, less. At 1, all classes use the same channels. Where both lines are at or "
        "near 1, nearly all paths keep nearly all channels, so nothing can be said about how they "
        "differ.",
    ),
    "hit_rate": Caption(
        "Whether a path finds its class",
        "Four images are combined into one, and only one of them shows the class. The hit rate is "
        "the share of a path's strongest activity that falls on that image. The dashed line is "
        "the hit rate to expect by chance.",
    ),
    "collages": Caption(
        "Examples of combined images",
        "The orange frame marks the image that shows the class. Yellow areas activate the path "
        "most. If the path is good, they are inside the frame.",
    ),
    "mistakes": Caption(
        "Misclassified images",
        "For each image: how well the activity of each layer agrees with the path of its true "
        "class (blue) and of the class that the network predicted (orange). Where orange is above "
        "blue, the network already processes the image as if it belonged to the wrong class.",
    ),
}
LIMITS = (
    "A path shows which channels suffice to recognise a class. It does not show what these "
    "channels look for, nor that the network needs no others.",
    "Similar paths often go with confusion between two classes, but they do not prove its cause.",
    "Paths depend on the options of the training, above all on how much accuracy a class may lose. "
    "Compare networks only with the same options.",
    "All statements are about this network and this data set. Another network of the same accuracy "
    "may use other paths.",
)


def paths_page(known: dict[str, Any]) -> ExpertPage:
    """Return the page for a result of ``disentanglement.facts``."""
    return ExpertPage(
        "The paths of classes through a network",
        _summary(known),
        path_metrics(known),
        path_findings(known),
        CAPTIONS,
        LIMITS,
        problem=range_warning(known.get("accuracy") or {}),
    )


def _summary(known: dict[str, Any]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, why in known.get("left_out", {}).items():
        reasons.setdefault(why, []).append(name)
    accuracy = known.get("accuracy")
    begin = [
        accuracy_paragraph(accuracy, known.get("accuracy_by_class", [])),
        assumed_range_text(accuracy or {}),
        *(
            f"{listed(names)} {'has' if len(names) == 1 else 'have'} no path: {why}."
            for why, names in reasons.items()
        ),
        known.get("shown_channels", ""),
        "A network computes an image's class in layers. Each layer has channels, which are small "
        "feature detectors. Not every class needs all of them. For each class, training found "
        "which channels can be switched off while the network still recognises the class. The "
        "remaining channels are the path of the class (neural architecture disentanglement, arXiv "
        "2003.13268). The network itself was not changed.",
    ]
    if means_little(accuracy):  # nothing can be concluded from the paths
        return begin
    return [
        *begin,
        _sample_text(known),
        _without_path_text(known),
        _diversity_text(known),
        _comparisons_text(known),
        hits_text(known),
        _mistakes_text(known),
    ]


def _sample_text(known: dict[str, Any]) -> str:
    """Say if only some of the test images were examined."""
    examined = known.get("images", {}).get("test")
    total = (known.get("accuracy") or {}).get("images")
    if not examined or not total or examined >= total:
        return ""
    return (
        f"Everything below was measured on {examined:,} of the {total:,} test images, because the "
        "number of images for each class was limited. Shares of these images may differ from those "
        "of all test images."
    )


def _without_path_text(known: dict[str, Any]) -> str:
    """Name the classes without a path of their own; empty if there are none."""
    without = [each for each in known.get("classes", []) if not has_own_path(each)]
    full = [each["class"] for each in without if each["keeps_all"]]
    empty = [each["class"] for each in without if each["kept"] == 0]
    mixed = [each["class"] for each in without if 0 < each["kept"] and not each["keeps_all"]]
    parts = [
        f"{start}{listed(names)} {'keeps' if len(names) == 1 else 'keep'} {end}."
        for start, names, end in (
            ("", full, f"all channels{_full_reason(known)}"),
            ("", empty, "no channel"),
            ("In each layer, ", mixed, "all channels or none"),
        )
        if names
    ]
    same = (
        "Such a class has no path of its own, and counts as having the same path as every other "
        "class."
    )
    return " ".join([*parts, same]) if without else ""


def _full_reason(known: dict[str, Any]) -> str:
    """Say which limits no smaller path met; empty if there was none, as in the paper."""
    settings = known.get("settings", {})
    if settings.get("beta", "auto") == "auto":
        return ": no smaller path met the limits on accuracy and false alarms"
    if settings["false_alarms"] < 1:
        return ": no smaller path met the limit on false alarms at the end of an epoch"
    return ""


def _diversity_text(known: dict[str, Any]) -> str:
    if "false_alarms" not in known:  # from versions before the correction for chance
        return ""
    return (
        f"On average a path keeps {percent(known['kept'])} of the channels. The diversity of the "
        f"paths is {number(known['diversity'])}: 0 means that all classes share one path, and 1 "
        "that the paths differ as much as random ones do. Used alone, a path mistakes "
        f"{percent(known['false_alarms'])} of the images of other classes for its own class; the "
        "higher this share is, the less the path means."
    )


def _comparisons_text(known: dict[str, Any]) -> str:
    """Say how layers where classes keep all channels or none count; empty if there are none."""
    found = comparisons(known)
    if found is None or not found.same:
        return ""
    full, layers = full_layers(known), counted(len(known["layers"]), "layer")
    where = f"In {full} of {layers}, every class keeps all channels. " if full else ""
    text = (
        f"{where}A class that keeps all channels of a layer or none cannot be compared with others "
        "there, and counts as having the same path as each of them. This affects "
        f"{percent(found.same / found.total)} of all comparisons of two classes in a layer."
    )
    others = f" The others have a diversity of {number(found.diversity)}."
    return text if found.diversity is None else text + others


def hits_text(known: dict[str, Any]) -> str:
    """Compare the paths' hit rate in the last layer with chance; empty if it is unknown.

    They are called different if they differ by more than two standard errors over the classes.
    """
    # Files of some earlier versions have no layers, and there may be no combined images.
    layers = known.get("layers") or [{}]
    rate, chance = layers[-1].get("hit_rate") or {}, known.get("chance")
    if rate.get("mean") is None or chance is None:
        return ""
    classes = sum(each is not None for each in rate["classes"].values())
    # The deviation divides by the number of classes, so the error divides by one less.
    error = rate["deviation"] / math.sqrt(classes - 1) if classes > 1 else math.inf
    difference = rate["mean"] - chance
    if abs(difference) > STANDARD_ERRORS * error:
        verdict = "" if difference > 0 else " So the paths do not find their classes."
    else:
        reason = (
            f"the mean over {classes} classes has a standard error of {100 * error:.1f} percentage "
            "points"
        )
        verdict = (
            " It is uncertain whether the paths find their classes: "
            f"{'the hit rate is known for only one class' if classes == 1 else reason}, so the "
            "difference may be due to chance."
        )
    return (
        f"When an image is shown together with images of other classes, {percent(rate['mean'])} of "
        "the strongest activity of its class's path in the last layer falls on it; chance would "
        f"give {percent(chance)}.{verdict}"
    )


def _mistakes_text(known: dict[str, Any]) -> str:
    mistakes, examined = known["mistakes"], known.get("images", {}).get("test")
    text = (
        f"The network misclassified {mistakes['count'] or 'none'} of the "
        f"{f'{examined:,} test ' if examined else ''}images examined."
    )
    if not mistakes["count"]:
        return text
    compared = compared_mistakes(mistakes)
    if compared < mistakes["count"]:
        text += (
            f" {f'Only {compared}' if compared else 'None'} of these can be compared with paths, "
            "because both the true and the predicted class need one of their own."
        )
    if not can_differ_from_chance(mistakes):
        return text
    return (
        f"{text} For {percent(mistakes['taken_for_a_similar_class'])} of "
        f"{'these' if compared < mistakes['count'] else 'them'} the predicted class is one of "
        "the three whose paths are most similar to that of the true class; chance would give "
        f"{percent(mistakes['by_chance'])}."
    )
