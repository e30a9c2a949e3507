"""What this machine has, and what to do about anything missing."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass

from xnas_tf.registry import describe
from xnas_tf.utils.versions import PACKAGES, package_version


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``advice`` is empty where all is well."""

    name: str
    value: str
    advice: str = ""


def examine() -> list[Finding]:
    """Looks at versions, devices and Horovod."""
    return [*_versions(), *_devices(), *_horovod(), _browser()]


def _versions() -> list[Finding]:
    version = platform.python_version()
    fits = (3, 10) <= sys.version_info[:2] <= (3, 13)
    findings = [Finding("python", version, "" if fits else "use Python 3.10 to 3.13")]
    for name in PACKAGES:
        found = package_version(name)
        advice = "" if found or name == "horovod" else f"pip install {name}, or run bin/setup"
        findings.append(Finding(name, found or "not installed", advice))
    return findings


def _devices() -> list[Finding]:
    try:
        import tensorflow as tf
    except Exception as error:  # missing, or broken in one of many ways
        return [Finding("TensorFlow", f"cannot be loaded: {describe(error)}", "run bin/setup")]
    gpus = tf.config.list_physical_devices("GPU")
    built = tf.test.is_built_with_cuda()
    advice = ""
    if not gpus and shutil.which("nvidia-smi"):
        advice = "TensorFlow sees no GPU though a driver is there: remove .venv and run bin/setup"
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    value = ", ".join(map(str, names)) if gpus else "none"
    return [
        Finding("GPUs", value, advice),
        Finding("TensorFlow's build", "CUDA" if built else "CPU only"),
    ]


def _horovod() -> list[Finding]:
    missing = "only needed for several ranks: bin/setup horovod (docs/installation.md)"
    if not package_version("horovod"):
        return [Finding("Horovod", "not installed", missing)]
    try:
        import horovod.tensorflow as hvd
    except Exception as error:  # a build against another TensorFlow fails in many ways
        advice = "it was built against another TensorFlow: remove .venv, run bin/setup horovod"
        return [Finding("Horovod", f"cannot be loaded: {describe(error)}", advice)]
    parts = {
        "Gloo": hvd.gloo_built(),
        "NCCL": bool(hvd.nccl_built()),
        "MPI": hvd.mpi_built(),
        "CUDA": hvd.cuda_built(),
    }
    built = ", ".join(name for name, present in parts.items() if present) or "nothing"
    runner = shutil.which("horovodrun")
    advice = "" if runner else "put .venv/bin on the PATH: source .venv/bin/activate"
    return [Finding("Horovod's build", built), Finding("horovodrun", runner or "not found", advice)]


def _browser() -> Finding:
    board = shutil.which("tensorboard")
    advice = "" if board else "put .venv/bin on the PATH: source .venv/bin/activate"
    return Finding("tensorboard", board or "not found", advice)
