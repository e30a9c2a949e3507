"""Joining the other ranks and taking this rank's share of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError, RunError
from xnas_tf.registry import describe

HOW_TO_BUILD = (
    "from a checkout bin/setup horovod builds it, else see docs/installation.md; xnas-tf doctor "
    "shows what is there"
)
"""What to do where Horovod is missing or broken."""
_THREADS = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}
"""What TensorFlow reads by itself."""


@contextmanager
def joined(
    config: DistributedOptions, deterministic: bool = True, branches: int = 1
) -> Iterator[Communicator]:
    """Joins the other ranks, and says so where one of them dies; see ``start``.

    Raises:
        RunError: If the ranks cannot be joined, or another one died.
    """
    import tensorflow as tf

    world = start(config, deterministic, branches)
    try:
        yield world
    except (RuntimeError, tf.errors.UnknownError) as error:  # of Horovod, with several ranks
        if world.size == 1:
            raise
        raise RunError(f"another rank died: {describe(error)}") from error


def start(
    config: DistributedOptions, deterministic: bool, branches: int = 1, alone: bool = False
) -> Communicator:
    """Initialises Horovod where it is installed, then TensorFlow's devices and threads.

    Args:
        config: The configuration's section.
        deterministic: Whether TensorFlow may use only operations that give the same result
            each time.
        branches: Operations that run at once.
        alone: Whether this process trains without others, so that no Horovod is needed.

    Raises:
        RunError: If horovodrun started this process but Horovod cannot be loaded.
    """
    # A rank that fails alone leaves the others waiting in a collective operation.
    # Ours notices hangs first (run/watch.py) and says which candidate it was; other ranks may
    # wait long for one that downloads the data.
    seconds = str(int(2 * config.stall_minutes * 60) + 7200)
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", seconds)
    # By default a rank aborts when it has waited 30 s for another one to arrive (measured), which
    # takes that long where many import TensorFlow from a slow disk.
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", "300")
    communicator = SingleProcess() if alone else _join()
    local_rank, local_size = communicator.local_rank, communicator.local_size
    _use_devices(local_rank, local_size, config.threads_per_rank, branches)
    if deterministic:
        _make_deterministic()
    return communicator


def _join() -> Communicator:
    try:
        import horovod.tensorflow as hvd

        hvd.init()
    except Exception as error:  # a build against another TensorFlow fails in many ways
        if started_ranks() > 1:
            raise RunError(
                f"this process is one of several ranks, but Horovod cannot be used ({error}): "
                f"{HOW_TO_BUILD}"
            ) from error
        return SingleProcess()
    if hvd.size() > 1:
        from xnas_tf.distributed.horovod import HorovodCommunicator

        return HorovodCommunicator()
    if started_ranks() > 1:
        raise RunError(
            f"{started_ranks()} processes were started, and each would search alone: this "
            "Horovod is built without MPI, so start them with horovodrun"
        )
    return SingleProcess()


def started_ranks() -> int:
    """How many ranks the launcher says it started. Only for messages, since launchers differ:
    what rank this is and how many there are is always Horovod's word."""
    names = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
    if "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ:
        names = (*names, "SLURM_STEP_NUM_TASKS")
    sizes = [os.environ.get(name, "") for name in names]
    return max((int(size) for size in sizes if size.isdigit()), default=1)


def _use_devices(local_rank: int, local_size: int, threads: int | None, branches: int) -> None:
    """One GPU a local rank, growing memory; a fair share of the host's cores, which operations
    that run at once share in turn."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of every new model's trace
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        # One GPU seen by each of several ranks is its own (srun --gpus-per-task=1); where it is
        # not, NCCL says so.
        if 1 < len(gpus) < local_size:
            raise InputError(
                f"{local_size} ranks were started on this host, which has {len(gpus)} GPUs; "
                "start at most one rank a GPU"
            )
        if len(gpus) > 1 and local_size > 1:
            tf.config.set_visible_devices(gpus[local_rank], "GPU")
        if threads is None and max(local_size, branches) > 1 and not _THREADS & os.environ.keys():
            threads = max(1, len(os.sched_getaffinity(0)) // local_size)
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(max(1, threads // branches))
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        # TensorFlow ran something before, as in a notebook: its settings are final by now.
        pass


def _make_deterministic() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
