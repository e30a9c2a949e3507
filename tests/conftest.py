"""Shared fixtures. Everything tests write goes into temporary folders."""

import gc
import os
import sys

from xnas_tf.utils.environment import set_defaults

set_defaults()

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# A busy machine is no reason to fail: hypothesis' default deadline is 0.2 s an example.
settings.register_profile("all", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("all" if os.environ.get("XNAS_TF_TESTS") == "all" else "quick")


def pytest_configure(config):
    """Configure TensorFlow, but not in the process that only hands the tests to workers."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        gc.disable()  # until all is imported: of 11 s for collecting the tests, garbage took 4 s
        import tensorflow as tf

        # As every process of xnas-tf does: else the same training may give other last digits.
        tf.config.experimental.enable_op_determinism()
        # Each rank that is a thread waits for the others in an operation, which holds a thread.
        tf.config.threading.set_inter_op_parallelism_threads(4)


def pytest_collection_finish(session):
    """Let garbage be collected while tests run, without all that is imported."""
    gc.enable()
    gc.collect()
    freeze()


_frozen_modules = 0
"""Number of modules when all was frozen; 0 if it is not."""


def freeze():
    """Keep all that there is out of ``gc.collect``, with which ``clear_session`` took 0.3 s."""
    global _frozen_modules
    gc.freeze()
    _frozen_modules = len(sys.modules)


@pytest.fixture(scope="session", autouse=True)
def note_unfreeze():
    """Note that a search in this process, as it ends, unfreezes all."""
    unfreeze = gc.unfreeze

    def noted():
        global _frozen_modules
        unfreeze()
        _frozen_modules = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "unfreeze", noted)
        yield


@pytest.fixture(autouse=True)
def refreeze():
    """Freeze anew what was unfrozen or imported; ``gc.get_freeze_count`` would take 0.05 s."""
    if len(sys.modules) > _frozen_modules + 200:
        freeze()


def left_to_all(*parameters):
    """Parameters of a test that only ``bin/test all`` runs."""
    return [
        pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.long)
        for each in parameters
    ]


@pytest.fixture
def dataset():
    """Three classes of 8x8 grey images."""
    from tests.datasets import make_dataset

    return make_dataset()
