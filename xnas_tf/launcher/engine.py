"""Chooses the engine: this process, a Horovod launcher's ranks, or a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.distributed.start import started_ranks
from xnas_tf.errors import InputError

Engine = Literal["local", "horovod", "ray"]
KEY = "distributed.engine"
_GPUS = Path("/proc/driver/nvidia/gpus")


def chosen_engine(distributed: DistributedOptions, address: str | None = None) -> Engine:
    """Return the configured engine, or the one that matches how this process was started.

    Raises:
        InputError: If the engine does not match how this process was started.
    """
    engine = _engine(distributed, address)
    given = {"`address`": address, "distributed.groups": distributed.groups}
    for name, value in given.items():
        if value and engine != "ray":
            raise InputError(
                f"{name}: given {value}, which only the engine ray uses, but the engine of this "
                f"search is {engine}; allowed: {KEY}: ray, without a launcher"
            )
    return engine


def _engine(distributed: DistributedOptions, address: str | None) -> Engine:
    wanted = distributed.engine
    if address and wanted in ("auto", "ray"):
        return "ray"  # srun may have started the cluster, with one task per node
    is_launched = started_ranks() > 1 or "HOROVOD_RANK" in os.environ
    if wanted == "auto":
        if is_launched:
            return "horovod"
        has_cluster = "RAY_ADDRESS" in os.environ or distributed.groups
        return "ray" if has_cluster or gpus_here() > 1 else "local"
    if wanted == "horovod" and not is_launched:
        raise InputError(
            f"{KEY}: given 'horovod', but no launcher started this process: "
            "horovodrun -np RANKS xnas-tf search CONFIG (or python SCRIPT)"
        )
    if wanted != "horovod" and is_launched:
        raise InputError(
            f"{KEY}: given {wanted!r}, but horovodrun, mpirun or srun started {started_ranks()} "
            "ranks; allowed: horovod, auto, or no launcher"
        )
    return wanted


def gpus_here() -> int:
    """Return the number of NVIDIA GPUs on this machine that this process may use.

    TensorFlow is not asked, because it would reserve the GPUs.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([number for number in visible.split(",") if number.strip() not in ("", "-1")])
    return len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
