"""Checks of the installation (versions, devices and Horovod), with advice on what is missing."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass

from xnas_tf.registry import describe
from xnas_tf.utils.cache_folder import cache_folder, private_folder
from xnas_tf.utils.versions import PACKAGES, package_version


@dataclass(frozen=True)
class Finding:
    """The result of a check, with advice if action is needed."""

    name: str
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """Check versions, devices, Horovod and the cache."""
    return [*_versions(), *_devices(), *_horovod(), _program("tensorboard"), _cache()]


def _versions() -> list[Finding]:
    version = platform.python_version()
    fits = (3, 10) <= sys.version_info[:2] <= (3, 13)
    findings = [Finding("python", version, "" if fits else "use Python 3.10 to 3.13")]
    for name in PACKAGES:
        installed = package_version(name)
        advice = "" if installed or name == "horovod" else f"pip install {name}, or run bin/setup"
        findings.append(Finding(name, installed or "not installed", advice))
    return findings


def _devices() -> list[Finding]:
    try:
        import tensorflow as tf  # noqa: PLC0415 - heavy
    except Exception as error:  # noqa: BLE001 - missing, or broken in one of many ways
        return [_not_loaded("TensorFlow", error, "run bin/setup")]
    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    names = ", ".join(str(each.get("device_name")) for each in details)
    advice = ""
    if not gpus and shutil.which("nvidia-smi"):
        advice = "there is a driver, but TensorFlow sees no GPU: remove .venv and run bin/setup"
    build = "CUDA" if tf.test.is_built_with_cuda() else "CPU only"
    return [Finding("GPUs", names or "none", advice), Finding("TensorFlow's build", build)]


def _horovod() -> list[Finding]:
    if not package_version("horovod"):
        advice = (
            "only needed for several ranks: bin/setup horovod (docs/get-started/installation.md)"
        )
        return [Finding("Horovod", "not installed", advice)]
    try:
        import horovod.tensorflow as hvd  # noqa: PLC0415 - optional
    except Exception as error:  # noqa: BLE001 - a build against another TensorFlow fails in many ways
        advice = "it was built against another TensorFlow: remove .venv, then run bin/setup horovod"
        return [_not_loaded("Horovod", error, advice)]
    libraries = ("Gloo", "NCCL", "MPI", "CUDA")
    built = ", ".join(name for name in libraries if getattr(hvd, f"{name.lower()}_built")())
    return [Finding("Horovod's build", built or "nothing"), _program("horovodrun")]


def _not_loaded(name: str, error: Exception, advice: str) -> Finding:
    """Report that a package failed to load, with advice if its files rather than others are why."""
    is_of_files = isinstance(error, ImportError) or "undefined symbol" in str(error)
    return Finding(name, f"cannot be loaded: {describe(error)}", advice if is_of_files else "")


def _cache() -> Finding:
    try:
        folder, private = cache_folder(), private_folder()
    except OSError as error:  # a read-only file system
        return Finding("cache", f"none: {error}", "set TMPDIR to a writable folder")
    advice = ""
    if folder.is_relative_to(private):
        advice = (
            "a temporary folder, since there is no writable home directory; "
            "set XDG_CACHE_HOME to use another one"
        )
    return Finding("cache", str(folder), advice)


def _program(name: str) -> Finding:
    path = shutil.which(name)
    advice = "" if path else "put .venv/bin on the PATH: source .venv/bin/activate"
    return Finding(name, path or "not found", advice)
