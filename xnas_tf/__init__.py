"""Neural architecture search for networks that are accurate and can be understood.

    import xnas_tf as xt

    run = xt.search("configs/quickstart.yaml")
    print(run.recommendation().text)
    model = run.best.load_model()

Everything is imported when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Candidate": "xnas_tf.candidate",
    "Config": "xnas_tf.config",
    "InputError": "xnas_tf.errors",
    "Run": "xnas_tf.run.directory",
    "Retraining": "xnas_tf.retraining",
    "RunError": "xnas_tf.errors",
    "Tuner": "xnas_tf.tuner",
    "DataReport": "xnas_tf.report.data",
    "Disentanglement": "xnas_tf.interpret.nad",
    "Explanation": "xnas_tf.explaining",
    "InterpretableModel": "xnas_tf.interpret.flint",
    "Interpretation": "xnas_tf.interpret.flint",
    "Interpreter": "xnas_tf.interpret.flint",
    "disentangle": "xnas_tf.interpret.nad",
    "explain": "xnas_tf.explaining",
    "export": "xnas_tf.exporting",
    "inspect_data": "xnas_tf.report.data",
    "load_config": "xnas_tf.config",
    "load_dataset": "xnas_tf.data",
    "load_run": "xnas_tf.run.directory",
    "retrain": "xnas_tf.retraining",
    "retrainings": "xnas_tf.retraining",
    "save_report": "xnas_tf.report.html",
    "search": "xnas_tf.run.search",
    "train_interpreter": "xnas_tf.interpret.flint",
}
__all__ = [*_PUBLIC, "__version__"]

if TYPE_CHECKING:
    from xnas_tf.candidate import Candidate
    from xnas_tf.config import Config, load_config
    from xnas_tf.data import load_dataset
    from xnas_tf.errors import InputError, RunError
    from xnas_tf.explaining import Explanation, explain
    from xnas_tf.exporting import export
    from xnas_tf.interpret.flint import (
        InterpretableModel,
        Interpretation,
        Interpreter,
        train_interpreter,
    )
    from xnas_tf.interpret.nad import Disentanglement, disentangle
    from xnas_tf.report.data import DataReport, inspect_data
    from xnas_tf.report.html import save_report
    from xnas_tf.retraining import Retraining, retrain, retrainings
    from xnas_tf.run.directory import Run, load_run
    from xnas_tf.run.search import search
    from xnas_tf.tuner import Tuner


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
