"""Checks arguments and methods as in KerasTuner: some have no equivalent here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xnas_tf.errors import InputError, suggest
from xnas_tf.execution.callbacks import Callback

_SCOPE = "all hyperparameters that build(hp) requests are searched; set values in build(hp)"
_COMPILED = "compile the model in build(hp)"
_DISTRIBUTED = "Horovod or Ray distributes a search; see docs/how-to/scaling.md"
_ALGORITHM = 'set the algorithm as in config={"search": {"algorithm": "nsga2"}}'
_FIDELITY = 'train in rungs as in config={"search": {"fidelity": {"epochs": [3, 9, 27]}}}'
_IN_FIT = "write HyperModel.fit(self, hp, model, *args, **kwargs), and pass it to model.fit there"

OF_TUNERS: dict[str, tuple[Any, str]] = {
    "executions_per_trial": (
        1,
        "each candidate is trained once, so its values are those of its saved model; train "
        "the best ones with several seeds: xt.retrain(tuner.run, pareto=True, seeds=3)",
    ),
    "hyperparameters": (None, _SCOPE),
    "tune_new_entries": (True, _SCOPE),
    "allow_new_entries": (True, _SCOPE),
    "max_retries_per_trial": (0, "a failed candidate is recorded with the reason"),
    "max_consecutive_failed_trials": (None, "failed candidates do not end a search"),
    "max_model_size": (None, 'give config={"constraints": {"parameters": "<= 1_000_000"}}'),
    "optimizer": (None, f'{_COMPILED}, or give config={{"training": {{"optimizer": "adam"}}}}'),
    "loss": (None, _COMPILED),
    "metrics": (None, _COMPILED),
    "distribution_strategy": (None, _DISTRIBUTED),
    "tuner_id": (None, _DISTRIBUTED),
    "logger": (None, "the run directory contains the record"),
    "oracle": (None, _ALGORITHM),
    "num_initial_points": (None, _ALGORITHM),
    "alpha": (None, _ALGORITHM),
    "beta": (None, _ALGORITHM),
    "max_epochs": (None, _FIDELITY),
    "factor": (None, _FIDELITY),
    "hyperband_iterations": (None, _FIDELITY),
}
"""Arguments of KerasTuner's tuners, with the value that has no effect, and the alternative."""
OF_FIT: dict[str, tuple[Any, str]] = {
    "shuffle": (True, _IN_FIT),
    "sample_weight": (None, f"give `class_weight`, or {_IN_FIT}"),
    "initial_epoch": (0, "an interrupted search resumes by itself"),
    "steps_per_epoch": (None, "an epoch is one pass over the images"),
    "validation_steps": (None, "all validation images are used"),
    "validation_batch_size": (None, "it would change no result"),
    "validation_freq": (1, "each epoch is validated"),
}
"""Arguments of ``Model.fit`` that KerasTuner's ``search`` accepts, in the same form."""
HOOKS = (
    "run_trial",
    *(
        f"on_{what}_{when}"
        for what in ("search", "trial", "epoch", "batch")
        for when in ("begin", "end")
    ),
)
"""Methods of KerasTuner's tuners that subclasses may override, but that are never called here."""


def refuse(
    given: Mapping[str, Any], known: Mapping[str, tuple[Any, str]], method: Callable[..., Any]
) -> None:
    """Reject arguments that have no equivalent here, unless their value has no effect.

    ``known`` is ``OF_TUNERS`` or ``OF_FIT``, and ``method`` the method of ``Tuner`` that got them.
    """
    own = [n for n in inspect.signature(method).parameters if n not in ("self", "others")]
    for name, value in given.items():
        if name not in known:
            raise InputError(f"`{name}`: there is no argument {suggest(name, own)}")
        neutral, instead = known[name]
        is_plain = isinstance(value, bool | int | float | str | np.generic)
        if value is not None and not (is_plain and value == neutral):
            shown = repr(value) if is_plain else f"a value of type {type(value).__name__}"
            raise InputError(f"`{name}`: given {shown}, which has no equivalent here: {instead}")


def check_hooks(kind: type) -> None:
    """Raise an ``InputError`` if a subclass overrides methods that are never called here."""
    if found := [name for name in HOOKS if hasattr(kind, name)]:
        raise InputError(
            f"{kind.__name__}.{found[0]}() would never be called: a search trains models of a "
            "HyperModel. Write HyperModel.fit for your own training, and callbacks for anything "
            "else during training"
        )


def split_callbacks(callbacks: Any) -> tuple[list[Any], list[Callback]]:
    """Split callbacks into Keras callbacks, which act during training, and search callbacks."""
    import keras  # noqa: PLC0415 - heavy

    some = () if callbacks is None else callbacks
    given = [*some] if isinstance(some, Sequence) else [some]
    for each in given:
        if not isinstance(each, keras.callbacks.Callback | Callback):
            raise InputError(
                f"`callbacks`: one is of type {type(each).__name__}; allowed: "
                "keras.callbacks.Callback or xnas_tf.Callback"
            )
    of_training = [each for each in given if not isinstance(each, Callback)]
    return of_training, [each for each in given if isinstance(each, Callback)]
