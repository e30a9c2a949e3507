"""Environment variables that TensorFlow reads when it is first imported."""

import os

DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # TensorFlow's own messages drown ours
    "KERAS_BACKEND": "tensorflow",
    # By default TensorFlow uses oneDNN's kernels only on processors with AVX512-VNNI or AMX.
    # With AVX2 alone they make a training step 1.37 times as fast: docs/dependencies.md.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def set_defaults() -> None:
    """Set the variables that the user has not set. Call it before TensorFlow is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
