"""For bin/setup --system: checks the TensorFlow and Horovod of the Python that runs this.

Prints one requirement for each package that must stay as it is. Where they cannot be used it
prints the reasons instead, and its status is 1.
"""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

ALLOWED = {"tensorflow": ((2, 16), (2, 18)), "horovod": ((0, 28), (0, 28))}
# TensorFlow was compiled for these
COMPILED_FOR = ("numpy", "protobuf", "ml-dtypes")


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
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        problems.insert(0, f"it is Python {dotted(sys.version_info[:2])}, allowed is 3.10 to 3.12")
    if any(problems):
        print("\n".join(f"  {text}" for text in problems if text))
        sys.exit(1)
    for name in COMPILED_FOR:
        print(f"{name}=={version(name)}")
    try:
        # Keras is plain Python: one that is too old is replaced inside .venv
        if numbers(version("keras")) >= (3, 12):
            print(f"keras=={version('keras')}")
    except PackageNotFoundError:
        pass


if __name__ == "__main__":
    main()
