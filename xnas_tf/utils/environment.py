"""Sets environment variables that TensorFlow reads when it is first imported."""

import os
from contextlib import suppress

from xnas_tf.utils.cache_folder import private_folder

DEFAULTS = {
    # Show only TensorFlow's errors. The note on oneDNN remains, because the libraries print it when
    # they are loaded, before they read this level (TensorFlow 2.21, even with level 3).
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "KERAS_BACKEND": "tensorflow",
    # By default, TensorFlow uses oneDNN's kernels only on processors with AVX512-VNNI or AMX. With
    # only AVX2, they make a training step 1.37 times as fast: docs/contributing/dependencies.md.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


def set_defaults() -> None:
    """Set the variables that the user has not set; must be called before importing TensorFlow.

    If there is no home directory, HOME is set to a private temporary folder.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if os.path.expanduser("~") == "~":  # a container user without an entry in passwd
        with suppress(OSError):
            os.environ["HOME"] = str(private_folder())  # otherwise Keras creates a folder "~"
