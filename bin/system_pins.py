"""For bin/setup --system: checks the TensorFlow and Horovod of the Python that runs this.

Prints one requirement for each package that must stay as it is. Where they cannot be used it
prints the reasons instead, and its status is 1.
"""

import importlib
import sys
from importlib import metadata

ALLOWED = {"tensorflow": ((2, 16), (2, 21)), "horovod": ((0, 28), (0, 28))}
# TensorFlow was made for these; it goes by other names too.
BELONGING = ("tensorflow", "tensorflow-cpu", "numpy", "protobuf", "ml-dtypes", "tensorboard")


def numbers(text):
    """The first two numbers of a version."""
    return tuple(int(number) for number in text.split(".")[:2])


def dotted(pair):
    """The other way round."""
    return ".".join(map(str, pair))


def problem(name, lowest, highest):
    """What keeps a package from being used, or nothing."""
    allowed = dotted(lowest) if lowest == highest else f"{dotted(lowest)} to {dotted(highest)}"
    try:
        found = importlib.import_module(name).__version__
        if not lowest <= numbers(found) <= highest:
            return f"{name} {found} was found, allowed is {allowed}"
        if name == "horovod":
            importlib.import_module("horovod.tensorflow")  # its library, built for one TensorFlow
    except Exception as error:  # a broken installation fails in many ways
        return f"{name} {allowed} is needed ({type(error).__name__}: {error})"
    return None


def main():
    """Prints the requirements, or the reasons."""
    problems = [problem(name, *range_) for name, range_ in ALLOWED.items()]
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        problems.insert(0, f"it is Python {dotted(sys.version_info[:2])}, allowed is 3.10 to 3.13")
    if any(problems):
        print("\n".join(f"  {text}" for text in problems if text))
        sys.exit(1)
    found = {name: version_of(name) for name in (*BELONGING, "keras")}
    if found["keras"] and numbers(found["keras"]) < (3, 12):
        del found["keras"]  # plain Python: one that is too old is replaced inside .venv
    for name, version in found.items():
        if version:
            print(f"{name}=={version}")
    if found["tensorboard"] and numbers(found["tensorboard"]) < (2, 21):
        print("setuptools<81")  # later ones lack pkg_resources, which it imports


def version_of(name):
    """That of an installed package, or nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
