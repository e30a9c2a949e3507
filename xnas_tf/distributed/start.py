"""Joining the other ranks and taking this rank's share of the machine."""

from __future__ import annotations

import os

from xnas_tf.config.models import DistributedConfig
from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.errors import RunError


def start(config: DistributedConfig, deterministic: bool) -> Communicator:
    """Initialises Horovod where it is installed, then TensorFlow's devices and threads.

    Args:
        config: The configuration's section.
        deterministic: Whether TensorFlow may use only operations that give the same result
            each time.

    Raises:
        RunError: If horovodrun started this process but Horovod cannot be loaded.
    """
    # A rank that fails alone leaves the others waiting in a collective operation.
    seconds = str(int(config.stall_minutes * 60))
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", seconds)
    communicator = _join()
    _use_devices(communicator.local_rank, communicator.local_size, config.threads_per_rank)
    if deterministic:
        _make_deterministic()
    return communicator


def _join() -> Communicator:
    try:
        import horovod.tensorflow as hvd

        hvd.init()
    except Exception as error:  # a build against another TensorFlow fails in many ways
        # Only for the message: the rank itself is always Horovod's word.
        if "HOROVOD_RANK" in os.environ:
            raise RunError(
                f"horovodrun started this process, but Horovod cannot be used ({error}); "
                "see xnas-tf doctor"
            ) from error
        return SingleProcess()
    if hvd.size() == 1:
        return SingleProcess()
    from xnas_tf.distributed.horovod import HorovodCommunicator

    return HorovodCommunicator()


def _use_devices(local_rank: int, local_size: int, threads: int | None) -> None:
    """One GPU a local rank, growing memory; a fair share of the host's cores."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of every new model's trace
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        if gpus and local_size > 1:
            tf.config.set_visible_devices(gpus[local_rank % len(gpus)], "GPU")
        if threads is None and local_size > 1:
            threads = max(1, len(os.sched_getaffinity(0)) // local_size)
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        # TensorFlow ran something before, as in a notebook: its settings are final by now.
        pass


def _make_deterministic() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
