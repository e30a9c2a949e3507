"""Environment variables that TensorFlow reads when it is first imported."""

import os

DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # its own messages drown ours
    "KERAS_BACKEND": "tensorflow",
    # TensorFlow takes oneDNN's kernels by itself only on processors with AVX512-VNNI or AMX.
    # With AVX2 alone a training step was 1.37 times as fast with them: docs/dependencies.md.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def set_defaults() -> None:
    """Sets what the user has not set; without effect once TensorFlow is imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
