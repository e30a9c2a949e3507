"""Saves trained models as ``.keras`` files and loads them in other processes."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from xnas_tf.errors import InputError, is_temporary
from xnas_tf.keras_tools.compat import safe_mode
from xnas_tf.keras_tools.inspection import all_layers, functional_model, is_transparent
from xnas_tf.keras_tools.layer_names import use_accepted_names
from xnas_tf.registry import describe, import_module

_NOT_FOUND = re.compile(r"Could not locate (class|function) '([^']*)'")
"""Matches Keras' message that a class or function is neither its own nor registered."""
_SAVED_MODEL = "TFSMLayer"
"""Layer that loads a SavedModel, which can write files. Safe mode rejects this layer, but not its
class as the function of a ``Lambda`` that is called with a path (seen with Keras 3.15.1)."""
_UNSAFE = "safe_mode=False"
"""What Keras' messages recommend if safe mode rejects a model."""
_CAUSE = re.compile(r"Exception encountered: (.+)")
"""Matches Keras' reason why a custom object cannot be created from its configuration."""


def model_bytes(model: keras.Model) -> bytes:
    """Return a Keras model as the contents of a ``.keras`` file.

    Compile settings are left out if possible, because a custom loss or metric may not be savable.
    """
    if is_transparent(model):
        model = functional_model(model)
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path, include_optimizer=False)
            return path.read_bytes()
        except OSError as error:  # Keras does not say which disk is full
            if not is_temporary(error):
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error


def load_model(file: Path, safe: bool = True, module: str = "") -> keras.Model:
    """Load a Keras model from a ``.keras`` file, or one in another format that Keras reads.

    With ``safe``, a model that contains Python code, such as a Lambda layer, is rejected. The
    ``module`` that registers the model's own layers with Keras is imported first, unless its name
    is empty or, with ``safe``, it is in the folder of a run.

    Raises:
        InputError: If the model cannot be loaded; the message suggests a fix.
    """
    problem = _import_problem(module, safe) if module else ""
    safe = safe and _is_safe()
    model = _loaded(file, safe)
    if isinstance(model, Exception):
        mode = " in safe mode" if safe else ""
        raise InputError(
            f"{file} cannot be loaded{mode}: {describe_failure(model)}{problem}"
        ) from model
    if isinstance(model, keras.Model):  # a file may contain a single layer
        use_accepted_names(model)
    return model


def check_loading(model: keras.Model, images: np.ndarray) -> tuple[bool, str]:
    """Save a model, load it again, and compare its outputs on images (N, H, W, C).

    Any exception that Keras or a user's layer raises when the model is saved is raised.

    Returns:
        Whether the model loads in safe mode, and why it does not load or its outputs have changed;
        empty if there is no problem.
    """
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder, warnings.catch_warnings():
        # The caller reports code in a model itself.
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.keras"
        file.write_bytes(model_bytes(model))
        safe = _is_safe()
        loaded = _loaded(file, safe)
        if isinstance(loaded, Exception) and _is_about_code(loaded):
            safe, loaded = False, _loaded(file, safe=False)
        if isinstance(loaded, Exception):
            return safe, describe_failure(loaded)
        outputs, same = (np.asarray(model(images, training=False)) for _ in range(2))
        try:
            again = np.asarray(loaded(images, training=False))
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            return safe, f"the saved model fails: {describe_failure(error)}"
    is_random = not np.array_equal(outputs, same, equal_nan=True)
    if is_random or np.allclose(outputs, again, rtol=1e-3, atol=1e-4, equal_nan=True):
        return safe, ""
    return safe, (
        "the saved model gives other outputs. For each of your own layers, write a get_config() "
        "that returns all arguments of the constructor"
    )


def _loaded(file: Path, safe: bool) -> keras.Model | Exception:
    try:
        if safe and _SAVED_MODEL in _config_text(file):
            raise ValueError(f"{_SAVED_MODEL} can run any code: {_UNSAFE}")
        return keras.saving.load_model(file, compile=False, safe_mode=safe)
    except Exception as error:  # noqa: BLE001 - Keras and a user's layers may raise anything
        return error


def _config_text(file: Path) -> str:
    """Return the configuration in a model's file as JSON without needless escapes.

    It is empty if the configuration cannot be read; Keras then says why.
    """
    try:
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                config = json.loads(archive.read("config.json"))
        else:
            with h5py.File(file) as content:
                config = json.loads(content.attrs["model_config"])
    except Exception:  # noqa: BLE001 - the file may contain anything
        return ""
    return json.dumps(config)


def describe_failure(error: BaseException) -> str:
    """Explain why a model could not be saved or loaded, and how to fix it."""
    if found := _NOT_FOUND.search(str(error)):
        kind, name = found.groups()
        return (
            f"Keras cannot find its {kind} {name}. Put "
            "@keras.saving.register_keras_serializable() before the definition, at the top level "
            "of the HyperModel's module or of one that it imports"
        )
    if _is_about_code(error):
        return (
            "it contains Python code, as a Lambda layer does. If you trust its origin, load it "
            "with `safe=False`"
        )
    if causes := _CAUSE.findall(str(error)):
        return (
            f"{causes[-1].rstrip('.')}. Write a get_config() that returns all arguments of the "
            "constructor, and put @keras.saving.register_keras_serializable() before the class"
        )
    if isinstance(error, NotImplementedError):  # its first paragraph asks for get_config()
        return " ".join(str(error).strip().partition("\n\n")[0].split())
    return describe(error)


def missing_object(error: BaseException | None) -> str:
    """Return what Keras could not find, such as ``class Gate``; empty for another error."""
    found = _NOT_FOUND.search(str(error))
    return " ".join(found.groups()) if found else ""


def layers_out_of_reach(model: keras.Model) -> list[str]:
    """Return the names of a model's layer classes that another process cannot find.

    Such classes are defined in a function, script or notebook, not at the top level of a module.
    """
    return sorted({type(layer).__name__ for layer in all_layers(model) if _is_hidden(type(layer))})


def _is_hidden(kind: type) -> bool:
    is_main = kind.__module__ == "__main__"
    return is_main or getattr(sys.modules.get(kind.__module__), kind.__name__, None) is not kind


def _is_about_code(error: BaseException) -> bool:
    """Return whether Keras rejected a model because safe mode does not allow its code."""
    return _UNSAFE in str(error)


def _is_safe() -> bool:
    """Return whether safe mode is on, that is, ``enable_unsafe_deserialization`` was not called."""
    return safe_mode() is not False


def _import_problem(module: str, safe: bool) -> str:
    """Import a module that may register layers; if this fails, return the reason."""
    try:
        import_module(module, safe)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
        return f". Importing {module}, which built the model, failed: {describe(error)}"
    return ""
