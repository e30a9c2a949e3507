"""Configuration of ranks and groups of ranks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from xnas_tf.utils.options import Section


class DistributedOptions(Section):
    """Options for several ranks, under horovodrun or on Ray; see docs/how-to/scaling.md."""

    ranks_per_candidate: PositiveInt | None = Field(
        None,
        description="number of ranks that train a candidate together. By default, 1 on Ray, and "
        "all ranks in a Horovod job, which allows no other number",
    )
    engine: Literal["auto", "local", "horovod", "ray"] = Field(
        "auto",
        description="where candidates are trained. `local`: in this process. `horovod`: on the "
        "ranks that horovodrun, mpirun or srun started. `ray`: on groups of ranks in "
        "a Ray cluster. `auto`: `horovod` under a launcher, `ray` if RAY_ADDRESS is "
        "set or this machine has several GPUs, otherwise `local`",
    )
    groups: PositiveInt | None = Field(
        None,
        description="number of groups of ranks on Ray, each of which trains its own candidates; "
        "by default as many as fit on the cluster",
    )
    threads_per_rank: int | None = Field(
        None,
        ge=1,
        description="number of CPU threads of a rank; by default, the ranks on a host share its "
        "cores equally. In NAS-Bench-201 cells, where two operations run at the same time, "
        "each of them uses half of the threads",
    )
    stall_minutes: float = Field(
        10, gt=0, description="minutes without progress after which a candidate counts as failed"
    )
