"""Checks the TensorFlow and Horovod of the Python that runs this, for bin/setup --system.

Prints one requirement for each package that must stay unchanged. If TensorFlow or Horovod cannot be
used, it prints the reasons instead and exits with status 1.
"""

import importlib
import sys
from importlib import metadata

ALLOWED = {"tensorflow": ((2, 16), (2, 21)), "horovod": ((0, 28), (0, 28))}
UNSAFE_KERAS = ("3.12.0", "3.13.0", "3.13.1")  # setup.py excludes them
# TensorFlow, which has several names, was built for these versions of the other packages.
BELONGING = ("tensorflow", "tensorflow-cpu", "numpy", "protobuf", "ml-dtypes", "tensorboard")


def numbers(text):
    """Return the first two numbers of a version."""
    return tuple(int(number) for number in text.split(".")[:2])


def dotted(pair):
    """Return a version as text, given its numbers."""
    return ".".join(map(str, pair))


def problem(name, lowest, highest):
    """Return the reason why a package cannot be used, or None."""
    allowed = dotted(lowest) if lowest == highest else f"{dotted(lowest)} to {dotted(highest)}"
    try:
        found = importlib.import_module(name).__version__
        if not lowest <= numbers(found) <= highest:
            return f"{name} {found} was found; allowed: {allowed}"
        if name == "horovod":
            importlib.import_module("horovod.tensorflow")  # its library may not load
    except Exception as error:  # a broken installation fails in many ways
        return f"{name} {allowed} is needed ({type(error).__name__}: {error})"
    return None


def main():
    """Print the requirements, or the reasons why there are none."""
    problems = [problem(name, *range_) for name, range_ in ALLOWED.items()]
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        problems.insert(0, f"it is Python {dotted(sys.version_info[:2])}; allowed: 3.10 to 3.13")
    if any(problems):
        print("\n".join(f"  {text}" for text in problems if text))
        sys.exit(1)
    found = {name: version_of(name) for name in (*BELONGING, "keras")}
    keras = found["keras"]
    if keras and (numbers(keras) < (3, 12) or keras in UNSAFE_KERAS):
        del found["keras"]  # pure Python, so it is replaced inside .venv
    for name, version in found.items():
        if version:
            print(f"{name}=={version}")
    if found["tensorboard"] and numbers(found["tensorboard"]) < (2, 21):
        print("setuptools<81")  # later versions lack pkg_resources, which TensorBoard imports


def version_of(name):
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
