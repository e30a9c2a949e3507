"""Neural architecture search for networks that are accurate and can be understood.

    import xnas_tf as xt

    run = xt.search("configs/quickstart.yaml")
    print(run.recommendation().text)
    model = run.best.load_model()

Everything is imported on first use, so importing the package itself is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xnas_tf.version import __version__

_PUBLIC = {
    "Callback": "xnas_tf.execution.callbacks",
    "Candidate": "xnas_tf.candidate",
    "Config": "xnas_tf.config",
    "InputError": "xnas_tf.errors",
    "Run": "xnas_tf.storage.run",
    "Retraining": "xnas_tf.retraining",
    "RunError": "xnas_tf.errors",
    "Tuner": "xnas_tf.tuner",
    "DataReport": "xnas_tf.reporting.dataset",
    "Disentanglement": "xnas_tf.interpretation.nad",
    "Explanation": "xnas_tf.explanation",
    "InterpretableModel": "xnas_tf.interpretation.flint",
    "Interpretation": "xnas_tf.interpretation.flint",
    "Interpreter": "xnas_tf.interpretation.flint",
    "disentangle": "xnas_tf.explanation.interpreting",
    "explain": "xnas_tf.explanation",
    "export": "xnas_tf.exporting.command",
    "init": "xnas_tf.project",
    "inspect_data": "xnas_tf.reporting.dataset",
    "load_config": "xnas_tf.config",
    "load_dataset": "xnas_tf.data",
    "load_run": "xnas_tf.storage.run",
    "retrain": "xnas_tf.retraining",
    "retrainings": "xnas_tf.retraining",
    "save_report": "xnas_tf.reporting.html.page",
    "SearchRun": "xnas_tf.execution.search_run",
    "search": "xnas_tf.launcher.search",
    "train_interpreter": "xnas_tf.explanation.interpreting",
}
__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:
    from xnas_tf.candidate import Candidate
    from xnas_tf.config import Config, load_config
    from xnas_tf.data import load_dataset
    from xnas_tf.errors import InputError, RunError
    from xnas_tf.execution.callbacks import Callback
    from xnas_tf.execution.search_run import SearchRun
    from xnas_tf.explanation import Explanation, explain
    from xnas_tf.explanation.interpreting import disentangle, train_interpreter
    from xnas_tf.exporting.command import export
    from xnas_tf.interpretation.flint import (
        InterpretableModel,
        Interpretation,
        Interpreter,
    )
    from xnas_tf.interpretation.nad import Disentanglement
    from xnas_tf.launcher.search import search
    from xnas_tf.project import init
    from xnas_tf.reporting.dataset import DataReport, inspect_data
    from xnas_tf.reporting.html.page import save_report
    from xnas_tf.retraining import Retraining, retrain, retrainings
    from xnas_tf.storage.run import Run, load_run
    from xnas_tf.tuner import Tuner


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
