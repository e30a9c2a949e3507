"""Finds the versions of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from xnas_tf.version import __version__

PACKAGES = ("tensorflow", "keras", "keras-tuner", "horovod", "tf-explain", "platypus-opt", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python, xnas-tf and the installed packages, by name."""
    installed = {name: package_version(name) for name in PACKAGES}
    found = {name: number for name, number in installed.items() if number}
    return {"python": platform.python_version(), "xnas-tf": __version__, **found}


def package_version(name: str) -> str | None:
    """Return the installed version of a package or its ``-cpu`` build; None if not installed."""
    for variant in (name, f"{name}-cpu"):
        try:
            return version(variant)
        except PackageNotFoundError:
            continue
    return None
