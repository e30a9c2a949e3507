"""Joins the other ranks, and sets up this rank's devices and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError, RunError
from xnas_tf.registry import describe
from xnas_tf.utils.progress import log_message, silence

HOW_TO_BUILD = (
    "in a checkout, bin/setup horovod builds it; otherwise, see docs/get-started/installation.md; "
    "xnas-tf doctor shows what is installed"
)
"""Instructions if Horovod is missing or broken."""
_THREADS = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}
"""Environment variables that TensorFlow itself reads."""


@contextmanager
def joined(
    config: DistributedOptions, deterministic: bool = True, branches: int = 1
) -> Iterator[Communicator]:
    """Call ``start``, and raise a ``RunError`` if another rank dies inside the context."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    ranks = start(config, deterministic, branches)
    try:
        yield ranks
    except (RuntimeError, tf.errors.UnknownError) as error:  # Horovod raises these
        if ranks.size == 1:
            raise
        raise RunError(f"another rank died: {describe(error)}") from error


def start(
    config: DistributedOptions, deterministic: bool, branches: int = 1, alone: bool = False
) -> Communicator:
    """Initialise Horovod if it is installed, then TensorFlow's devices and threads.

    If ``deterministic``, TensorFlow may only use deterministic operations. ``branches`` is the
    number of operations that run at the same time. A process that trains ``alone`` does not need
    Horovod.

    Raises:
        RunError: If horovodrun started this process but Horovod cannot be loaded.
    """
    # A rank that fails alone leaves the others waiting in a collective operation. The watchdog
    # (execution/watchdog.py) should detect this first, since it can name the candidate. The other
    # ranks may also have to wait a long time for the one that downloads the data.
    seconds = str(int(2 * config.stall_minutes * 60) + 7200)
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", seconds)
    # By default a rank aborts if another one has not joined after 30 s (measured). Importing
    # TensorFlow from a slow disk on many ranks can take longer.
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", "300")
    ranks = SingleProcess() if alone else _join()
    if ranks.rank > 0:
        silence()
    _use_devices(ranks.local_rank, ranks.local_size, config.threads_per_rank, branches)
    if deterministic:
        import tensorflow as tf  # noqa: PLC0415 - heavy

        tf.config.experimental.enable_op_determinism()
    return ranks


def _join() -> Communicator:
    try:
        import horovod.tensorflow as hvd  # noqa: PLC0415 - optional

        hvd.init()
    except Exception as error:  # a build for another TensorFlow version fails in many ways
        if started_ranks() > 1:
            raise RunError(
                f"this process is one of several ranks, but Horovod cannot be used ({error}): "
                f"{HOW_TO_BUILD}"
            ) from error
        return SingleProcess()
    if hvd.size() > 1:
        from xnas_tf.distributed.horovod import HorovodCommunicator  # noqa: PLC0415 - optional

        return HorovodCommunicator()
    if started_ranks() > 1:
        raise RunError(
            f"{started_ranks()} processes were started, but each would run its own search: this "
            "Horovod was built without MPI, so start them with horovodrun"
        )
    return SingleProcess()


def started_ranks() -> int:
    """Return the launcher's number of ranks; for messages only, as launchers differ."""
    names = ["HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
    if "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ:
        names.append("SLURM_STEP_NUM_TASKS")
    sizes = [os.environ.get(name, "") for name in names]
    return max((int(size) for size in sizes if size.isdigit()), default=1)


def _use_devices(local_rank: int, local_size: int, threads: int | None, branches: int) -> None:
    """Give this rank an equal share of the host's cores, and one GPU whose memory use can grow.

    Operations that run at the same time share the rank's cores.
    """
    import tensorflow as tf  # noqa: PLC0415 - heavy

    given = threads
    tf.get_logger().setLevel("ERROR")  # it warns whenever a new model is traced
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        # If each of several ranks sees one GPU, that GPU is its own (srun --gpus-per-task=1);
        # otherwise NCCL reports an error.
        if 1 < len(gpus) < local_size:
            raise InputError(
                f"{local_size} ranks were started on this host, which has {len(gpus)} GPUs; "
                "start at most one rank per GPU"
            )
        if len(gpus) > 1 and local_size > 1:
            tf.config.set_visible_devices(gpus[local_rank], "GPU")
        if threads is None and max(local_size, branches) > 1 and not _THREADS & os.environ.keys():
            threads = max(1, len(os.sched_getaffinity(0)) // local_size)
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(max(1, threads // branches))
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        # TensorFlow is already in use, as in a notebook, so its settings cannot be changed.
        if given:
            log_message(
                f"warning: distributed.threads_per_rank: given {given}, which has no effect, "
                "because TensorFlow is already in use in this process: search before anything else "
                "uses it"
            )
