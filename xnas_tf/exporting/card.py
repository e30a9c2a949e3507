"""Creates the model card of an exported model, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import getdoc
from typing import Any

import keras

from xnas_tf.exporting.evidence import Evidence
from xnas_tf.exporting.preparation import input_text, preparation_text
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.exporting.training_settings import training_settings
from xnas_tf.exporting.verification import Reference, map_quality
from xnas_tf.interpretation.accuracy_text import weak_classes_text
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.inspection import ending_of
from xnas_tf.objectives.attribution_quality import AttributionQuality
from xnas_tf.objectives.base import Objective
from xnas_tf.objectives.introspectability import Introspectability
from xnas_tf.objectives.latency import Latency
from xnas_tf.reporting.html.quality import saved_quality
from xnas_tf.storage.run import Run
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.number_format import counted

NOT_STATED = (
    "not stated: the owner of the model decides, within the terms of the data. The exported "
    "files contain no code of xnas-tf, which is itself GPL-3.0-or-later."
)
_INTROSPECTABILITY = (
    "Introspectability measures how differently the network represents the classes: the mean "
    "distance of their mean activations or attributions on validation images. It does not say "
    "whether single predictions are right, fair, or explained correctly."
)
PICTURE = "attributions.png"
"""Name of the file with pictures of attribution maps."""


def model_card(
    evidence: Evidence,
    chosen: ExportSelection,
    model: keras.Model,
    test: dict[str, Any] | None,
    expected: Reference,
    files: Sequence[dict[str, Any]],
    licence: str,
    safe: bool,
) -> dict[str, Any]:
    """Return the contents of ``card.json``, except for what concerns the user's own code.

    ``test`` comes from ``Evidence.test_metrics``; see ``export`` for ``safe``.
    """
    maps = map_quality(model, expected, is_noise=evidence.data is None)
    candidate, names = chosen.candidate, evidence.facts["class_names"]
    weak = weak_classes_text(test["confusion"], names) if test else ""
    return {
        "name": chosen.name,
        "summary": _summary(evidence, chosen),
        "use": _use(evidence),
        "picture": PICTURE if evidence.data is not None and expected.methods else "",
        "candidate": candidate.id,
        "retrained": chosen.is_retrained,
        "genotype": candidate.genotype,
        "hypermodel_module": candidate.module,
        "hyperparameters": candidate.hyperparameters,
        "objectives": _objectives(chosen),
        "metrics": candidate.metrics,
        "dataset": _dataset(evidence),
        "test": test,
        "weak_classes": weak,
        "explanations": {
            "methods": {m.name: m.model_dump(mode="json") for m in expected.methods},
            "inapplicable": expected.inapplicable,
            "quality": {"maps": maps, **_quality(evidence.run, chosen)},
        },
        "input": input_text(evidence.run, evidence.facts),
        "preparation": preparation_text(evidence),
        "output": "probabilities (batch, classes), in the order of the classes",
        "keras_output": _output_text(model, names),
        "parameters": model.count_params(),
        "files": list(files),
        "verified_on": _verified_on(evidence),
        "limits": _limits(evidence, chosen, weak),
        "licence": licence or NOT_STATED,
        "data_licence": f"The licence of the data ({chosen.config.dataset.name}) is unknown to "
        "xnas-tf. Check its terms before you share the model.",
        "training": training_settings(evidence.run, evidence.facts, chosen, safe),
        "seed": candidate.seed,
        "parents": list(candidate.parents),
        "reused_from": candidate.reused_from,
        "versions": candidate.versions,
    }


def _output_text(model: keras.Model, class_names: Sequence[str]) -> str:
    """Describe the Keras model's own outputs, which exporting does not change."""
    activation = ending_of(model).activation
    if has_single_output(model):
        of_class = f"(batch, 1) of class {class_names[1]!r}, against {class_names[0]!r}"
        if activation:
            return f"the probability {of_class}"
        return f"the logit {of_class}: its sigmoid is the probability"
    if activation:
        return "probabilities (batch, classes)"
    return "logits (batch, classes): their softmax is the probabilities"


def _objectives(chosen: ExportSelection) -> dict[str, Any]:
    return {
        o.name: {
            "value": chosen.candidate.objectives[o.name],
            "direction": o.direction,
            "unit": "ms" if isinstance(o, Latency) else "",
            "meaning": _meaning(o),
        }
        for o in chosen.config.objectives
    }


def _dataset(evidence: Evidence) -> dict[str, Any]:
    """Return the recorded facts about the data, and the image counts if the data can be loaded."""
    known = {**evidence.run.config.dataset.model_dump(mode="json"), **evidence.facts}
    if (data := evidence.data) is None:
        return {**known, "problem": evidence.problem}
    return {
        **known,
        "how_split": data.how_split,
        "counts": {split: each.tolist() for split, each in data.counts.items()},
        "full_scales": data.findings.full_scales,
    }


def _quality(run: Run, chosen: ExportSelection) -> dict[str, Any]:
    """Return the quality of explanations; ``explain`` does not measure it for retrained models."""
    candidate = chosen.candidate
    values = candidate.metrics | candidate.objectives
    measured = {
        measure.name: {
            "values": {n: v for n, v in values.items() if n.split("/")[0] == measure.name},
            "direction": measure.direction,
            "meaning": _meaning(measure),
        }
        for measure in chosen.config.measures()
        if isinstance(measure, AttributionQuality)
    }
    explained = {} if chosen.is_retrained else saved_quality(run, candidate.id)["quality"]
    return {"measured": measured, "explained": explained}


def _verified_on(evidence: Evidence) -> str:
    count = len(evidence.images)
    if evidence.data is not None:
        return f"{counted(count, 'image')} of the test split"
    return f"{count} images of noise, because there are no test images: {evidence.problem}"


def _meaning(objective: Objective) -> str:
    """Return the first line of an objective's documentation and, for latency, the device."""
    meaning = (getdoc(type(objective)) or "").partition("\n")[0]
    if isinstance(objective, Latency):
        device = "the training machine" if objective.device == "auto" else objective.device
        return f"{meaning} Measured on {device}, in batches of {objective.batch_size}."
    return meaning


def _kind_of_images(evidence: Evidence) -> str:
    height, width, channels = evidence.facts["image_shape"]
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"{kind} images of {size_text(height, width)} pixels"


def _summary(evidence: Evidence, chosen: ExportSelection) -> str:
    classes = len(evidence.facts["class_names"])
    return (
        f"Classifies {_kind_of_images(evidence)} into {classes} classes. Found by neural "
        f"architecture search with xnas-tf, and {_trained(evidence, chosen)}."
    )


def _trained(evidence: Evidence, chosen: ExportSelection) -> str:
    epochs = counted(chosen.candidate.kept_epoch, "epoch")
    return f"trained for {epochs} on {counted(evidence.facts['images']['train'], 'image')}"


def _use(evidence: Evidence) -> dict[str, Any]:
    """Return the model's intended and unintended uses, as derived from the data."""
    name = evidence.run.config.dataset.name
    return {
        "intended": f"Classifying {_kind_of_images(evidence)} that are similar to those of {name}. "
        "Measure its accuracy on your own images before you rely on it.",
        "out_of_scope": [
            f"images that differ from those of {name}, or show none of its classes: the model "
            "predicts one of the classes anyway",
            "decisions about people, or decisions where mistakes cause harm, unless it was "
            "evaluated for them",
        ],
    }


def _limits(evidence: Evidence, chosen: ExportSelection, weak: str) -> list[str]:
    measured = any(isinstance(each, Introspectability) for each in chosen.config.measures())
    return [
        *([f"On the test split: {weak}"] if weak else []),
        f"It was {_trained(evidence, chosen)} of {evidence.run.config.dataset.name}, and evaluated "
        "on images of the same kind. How it performs on other images is unknown.",
        f"It takes {_kind_of_images(evidence)}. Other images must be prepared in the same way as "
        "those of the search; otherwise its predictions get worse.",
        f"It predicts one of its {len(evidence.facts['class_names'])} classes for every image, "
        "even one that shows none of them.",
        "A search chose it from many candidates without using the test split. If you choose "
        "between several models by their test metrics, these metrics become optimistic.",
        "Attributions show what the score of a class depends on in an image. They prove neither "
        "that this is the reason for the prediction, nor that the reason is a good one. The "
        "baseline of integrated gradients is a black image, so black pixels get no attribution.",
        *([_INTROSPECTABILITY] if measured else []),
    ]
