"""The model card of an exported model, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.exporting.evidence import Evidence
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.exporting.verification import Reference
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.inspection import ending_of
from xnas_tf.objectives.attribution_quality import AttributionQuality
from xnas_tf.reporting.html.models import recorded_data
from xnas_tf.storage.run import Run
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.number_format import counted

NOT_STATED = (
    "not stated: it is up to the owner of the model, within the terms of the data. The exported "
    "files contain no code of xnas-tf, which is itself GPL-3.0-or-later."
)


def model_card(
    evidence: Evidence,
    chosen: ExportSelection,
    test: dict[str, Any] | None,
    expected: Reference,
    files: Sequence[dict[str, Any]],
    licence: str,
) -> dict[str, Any]:
    """Return the content of ``card.json``, with ``Evidence.test_metrics`` as ``test``."""
    candidate, config = chosen.candidate, chosen.config
    return {
        "name": chosen.name,
        "candidate": candidate.id,
        "retrained": chosen.is_retrained,
        "genotype": candidate.genotype,
        "hypermodel_module": candidate.module,
        "hyperparameters": candidate.hyperparameters,
        "objectives": {
            o.name: {"value": candidate.objectives[o.name], "direction": o.direction}
            for o in config.objectives
        },
        "metrics": candidate.metrics,
        "dataset": _dataset(evidence),
        "test": test,
        "explanations": {
            "methods": {m.name: m.model_dump(mode="json") for m in expected.methods},
            "inapplicable": expected.inapplicable,
            "quality": _quality(evidence.run, chosen),
        },
        "input": _input(evidence.facts),
        "output": "probabilities (batch, classes), in the order of dataset.class_names",
        "files": list(files),
        "verified_on": _verified_on(evidence),
        "limits": _limits(evidence, candidate),
        "licence": licence or NOT_STATED,
        "training": config.training.model_dump(mode="json") | {"epochs": candidate.kept_epoch},
        "seed": candidate.seed,
        "parents": list(candidate.parents),
        "reused_from": candidate.reused_from,
        "versions": candidate.versions,
    }


def output_text(model: keras.Model, class_names: Sequence[str]) -> str:
    """Return what the Keras model itself returns, which no function of the export has changed."""
    activation = ending_of(model).activation
    if has_single_output(model):
        of_class = f"(batch, 1) of class {class_names[1]!r}, against {class_names[0]!r}"
        if activation:
            return f"the probability {of_class}"
        return f"the logit {of_class}: its sigmoid is the probability"
    if activation:
        return "probabilities (batch, classes)"
    return "logits (batch, classes): their softmax is the probabilities"


def _input(facts: dict[str, Any]) -> str:
    text = "uint8 images (batch, height, width, channels), 0 to 255"
    if "values" not in facts:
        return text
    low, high = facts["values"]
    formula = "round((x - low) * 255 / (high - low))"
    return f"{text}, made from values x of {low:.6g} to {high:.6g}: {formula}"


def _dataset(evidence: Evidence) -> dict[str, Any]:
    """Return the recorded facts of the data, and its counts if it can be loaded."""
    known = {**evidence.run.config.dataset.model_dump(mode="json"), **evidence.facts}
    if evidence.data is None:
        return {**known, "problem": evidence.problem}
    counts = {split: each.tolist() for split, each in evidence.data.counts.items()}
    return {**known, "how_split": evidence.data.how_split, "counts": counts}


def _quality(run: Run, chosen: ExportSelection) -> dict[str, Any]:
    """Return the quality of explanations; ``xnas-tf explain`` measured the search's model."""
    candidate = chosen.candidate
    values = candidate.metrics | candidate.objectives
    measured = {}
    for measure in chosen.config.measures():
        if isinstance(measure, AttributionQuality):
            own = {n: v for n, v in values.items() if n.split("/")[0] == measure.name}
            measured[measure.name] = {"values": own, "direction": measure.direction}
    explained = {} if chosen.is_retrained else recorded_data(run, candidate)["quality"]
    return {"measured": measured, "explained": explained}


def _verified_on(evidence: Evidence) -> str:
    count = len(evidence.images)
    if evidence.data is not None:
        return f"{counted(count, 'image')} of the test split"
    return f"{count} images of noise, since there are no test images: {evidence.problem}"


def _limits(evidence: Evidence, candidate: Candidate) -> list[str]:
    height, width, channels = evidence.facts["image_shape"]
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    classes = len(evidence.facts["class_names"])
    images = evidence.facts["images"]["train"]
    return [
        f"It was trained for {counted(candidate.kept_epoch, 'epoch')} on {images:,} images of "
        f"{evidence.run.config.dataset.name}, and measured on images of the same kind. How it "
        "performs on others is unknown.",
        f"It takes {kind} images of {size_text(height, width)} pixels; others must be resized "
        "first.",
        f"Every image gets one of the {classes} classes, even one that shows none of them. The "
        "probabilities are not calibrated.",
        "It was chosen by a search among many. The search did not use the test split; to choose "
        "the best of several models by their test metrics makes these optimistic.",
        "Attributions show what the score of a class depends on in this image. They prove neither "
        "that this is why, nor that it is a good reason. The baseline of integrated gradients is "
        "a black image: black pixels get nothing.",
        "Introspectability says how differently the network represents the classes: the mean "
        "distance of their mean activations or attributions on validation images. It does not say "
        "whether single predictions are right, fair, or explained correctly.",
    ]
