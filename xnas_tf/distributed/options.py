"""Configuration of ranks and groups of ranks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from xnas_tf.utils.options import Section


class DistributedOptions(Section):
    """Several ranks, under horovodrun or on Ray: docs/how-to/scaling.md."""

    ranks_per_candidate: PositiveInt | None = Field(
        None,
        description="ranks that train one candidate together; if not given, one on Ray and all "
        "ranks of a Horovod job, which allows no other number",
    )
    engine: Literal["auto", "local", "horovod", "ray"] = Field(
        "auto",
        description="what runs the candidates: `local` one process, `horovod` the ranks that "
        "horovodrun, mpirun or srun started, `ray` groups of ranks on a Ray cluster; `auto`: "
        "Horovod under a launcher, Ray where RAY_ADDRESS is set or this machine has several GPUs, "
        "else local",
    )
    groups: PositiveInt | None = Field(
        None,
        description="groups of ranks on Ray, each of which evaluates its own candidates; if not "
        "given, as many as fit on the cluster",
    )
    threads_per_rank: int | None = Field(
        None,
        ge=1,
        description="CPU threads; if not given, the ranks of a host share its cores equally. In "
        "cells of NAS-Bench-201 an operation uses half of them, since two run at once",
    )
    stall_minutes: float = Field(
        10, gt=0, description="minutes without a step after which a candidate is given up"
    )
