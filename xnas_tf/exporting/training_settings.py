"""The settings with which an exported model was trained."""

from __future__ import annotations

from typing import Any

import keras_tuner

from xnas_tf.errors import InputError
from xnas_tf.exporting.selection import ExportSelection
from xnas_tf.keras_tools.settings import kept_settings
from xnas_tf.registry import describe
from xnas_tf.spaces.building import build_model, code_of
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.storage.run import Run
from xnas_tf.utils.randomness import own_generator
from xnas_tf.utils.source_code import source_hashes

_OF_OPTIMIZER = {
    *("optimizer", "learning_rate", "schedule", "warmup_epochs"),
    *("momentum", "nesterov", "weight_decay"),
}
"""Options of ``training`` that have no effect on models that the HyperModel compiles."""


def training_settings(
    run: Run, facts: dict[str, Any], chosen: ExportSelection, safe: bool
) -> dict[str, Any]:
    """Return the training settings of a run's model, as JSON values.

    If the HyperModel compiles the model, the optimizer's settings are read from the model, which is
    built again for this purpose. If that is not possible, or the code has changed, ``optimizer``
    says so. ``facts`` are the recorded facts about the data. With ``safe``, only HyperModels and
    functions ``build(hp)`` are called, because the run may come from somebody else.
    """
    config = chosen.config
    settings = config.training.model_dump(mode="json") | {"epochs": chosen.candidate.kept_epoch}
    others = {name: value for name, value in settings.items() if name not in _OF_OPTIMIZER}
    shape, classes = facts["image_shape"], len(facts["class_names"])
    try:
        space = config.space
        if safe and isinstance(space, HyperModelOptions) and space.calls_any_function():
            raise InputError(f"{space.hypermodel} is called only with --unsafe or `safe=False`")
        hypermodel = config.space.create(tuple(shape), classes)
        if type(hypermodel).__module__.startswith("xnas_tf.spaces."):
            return settings
        if type(hypermodel).fit is not keras_tuner.HyperModel.fit:
            others["own_fit"] = settings["own_fit"] = True
        hashes = source_hashes(code_of(hypermodel), [config.space.hypermodel_module])
        if changes := chosen.changed_code(hashes):
            raise InputError(changes)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(chosen.candidate.hyperparameters)
        with own_generator(seed=0), kept_settings():  # the weights do not matter
            model, _ = build_model(hypermodel, hp, (None, *shape))
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        is_searched = not chosen.is_retrained or config.space == run.config.space
        if is_searched and run.fact("own_optimizer") is False:
            return settings
        why = str(error) if isinstance(error, InputError) else describe(error)
        return {**others, "optimizer": f"as compiled by the HyperModel, unknown here ({why})"}
    return {**others, **optimizer_settings(model.optimizer)} if model.compiled else settings


def optimizer_settings(optimizer: Any) -> dict[str, Any]:
    """Return a compiled model's optimizer settings under the names used in ``training``.

    For a learning rate schedule, the learning rate is the initial one. ``optimizer_config``
    contains all other plain values of the optimizer's configuration.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    config = optimizer.get_config()
    rate, schedule = config.pop("learning_rate", None), "constant"
    if isinstance(rate, dict):
        schedule = rate.get("class_name", "unknown")
        rate = rate.get("config", {}).get("initial_learning_rate")
    plain = {k: v for k, v in config.items() if v is None or isinstance(v, int | float | str)}
    return {
        "optimizer": type(optimizer).__name__,
        "learning_rate": float(f"{rate:.6g}") if isinstance(rate, int | float) else None,
        "schedule": schedule,
        "weight_decay": plain.pop("weight_decay", None) or 0.0,
        "optimizer_config": plain,
    }
