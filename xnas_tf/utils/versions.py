"""Versions of what a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from xnas_tf.version import __version__

PACKAGES = ("tensorflow", "keras", "keras-tuner", "horovod", "tf-explain", "platypus-opt", "numpy")


def versions() -> dict[str, str]:
    """Version by package, Python's and our own included; absent ones are left out."""
    found = {"python": platform.python_version(), "xnas-tf": __version__}
    for name in PACKAGES:
        installed = package_version(name)
        if installed:
            found[name] = installed
    return found


def package_version(name: str) -> str | None:
    """The installed version of a package; of TensorFlow in any of its builds."""
    for variant in (name, f"{name}-cpu"):
        try:
            return version(variant)
        except PackageNotFoundError:
            continue
    return None
