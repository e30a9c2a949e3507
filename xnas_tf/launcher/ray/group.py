"""A group of ranks on Ray: a Horovod job of its own, placed together and replaced as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from xnas_tf.candidate import Result
from xnas_tf.distributed.start import HOW_TO_BUILD
from xnas_tf.errors import InputError
from xnas_tf.execution.task_source import Task
from xnas_tf.launcher.ray.rank import Rank, RankAddress, Setting
from xnas_tf.launcher.ray.resources import PATIENCE

Finished = tuple[Task, Result]


class Group:
    """Ranks that evaluate one candidate together, in processes that stay alive between candidates.

    No method blocks. A step, such as starting the ranks or evaluating a candidate, runs in the
    background; ``advance`` completes the step and, while the group is starting, begins the next.

    Args:
        bundle: The CPU and GPU resources for one rank.
        avoided: Nodes on which the group must not be placed.

    Attributes:
        nodes: Ids of the nodes on which the ranks run, once they are placed.
        task: The task being evaluated; None if there is none.
        pending: The references that the current step is waiting for.
        began: Start time of the current step, in terms of ``time.monotonic``.
    """

    def __init__(
        self,
        number: int,
        setting: Setting,
        size: int,
        bundle: Mapping[str, float],
        avoided: Sequence[str] = (),
    ) -> None:
        self.number = number
        self._setting = setting
        self._size = size
        self._bundle = bundle
        self._avoided = avoided
        self.nodes: set[str] = set()
        self.task: Task | None = None
        self.is_ready = False
        self._ranks: list[Any] = []
        self._server: Any = None
        self._placement: Any = None
        self.began = time.monotonic()
        self.pending: list[Any] = []
        self._then: Callable[[list[Any]], Finished | None] = self._start_ranks
        self._place()

    @property
    def is_starting(self) -> bool:
        """Whether the ranks are placed but not yet ready."""
        return bool(self._ranks) and not self.is_ready

    @property
    def is_idle(self) -> bool:
        """Whether the group is ready and has nothing to evaluate."""
        return self.is_ready and not self.pending

    def advance(self) -> Finished | None:
        """Complete the current step if its work is done.

        Returns:
            The task and its result if the step was an evaluation that has finished; otherwise None.

        Raises:
            ray.exceptions.RayError: If a rank died.
            Exception: The exception raised by a rank.
        """
        if not self.pending:
            return None
        ready, waiting = ray.wait(self.pending, num_returns=len(self.pending), timeout=0)
        ray.get(ready)  # raises a rank's exception, even if others are waiting
        if waiting:
            if self._avoided and not self._ranks and time.monotonic() - self.began > PATIENCE:
                remove_placement_group(self._placement)
                self._avoided = ()  # any node, because the others are full
                self._place()
            return None
        values, self.pending = ray.get(self.pending), []
        self.began = time.monotonic()
        return self._then(values)

    def evaluate(self, task: Task) -> None:
        """Start evaluating a candidate; ``advance`` returns the result."""
        waited = time.monotonic() - self.began

        def finish(results: list[Result]) -> Finished:
            self.task = None
            results[0].seconds["wait"] = waited
            return task, results[0]

        self.task = task
        self._begin([rank.evaluate.remote(task) for rank in self._ranks], finish)

    def close(self) -> None:
        """Terminate the ranks and release their resources."""
        for rank in self._ranks:
            ray.kill(rank)
        with suppress(ray.exceptions.RayError):
            remove_placement_group(self._placement)
        if self._server:
            self._server.stop()

    def _begin(self, references: list[Any], then: Callable[[list[Any]], Finished | None]) -> None:
        """Begin a step that ends by calling ``then`` with the values of the references."""
        self.pending, self._then = references, then
        self.began = time.monotonic()

    def _place(self) -> None:
        selector = {"ray.io/node-id": f"!in({','.join(self._avoided)})"}
        self._placement = placement_group(
            [dict(self._bundle)] * self._size,
            strategy="PACK",
            bundle_label_selector=[selector] * self._size if self._avoided else None,
        )
        self._begin([self._placement.ready()], self._start_ranks)

    def _start_ranks(self, _: list[Any]) -> None:
        remote = ray.remote(Rank)
        for index in range(self._size):
            options = remote.options(
                num_cpus=self._bundle.get("CPU", 0),
                num_gpus=self._bundle.get("GPU", 0),
                scheduling_strategy=PlacementGroupSchedulingStrategy(self._placement, index),
            )
            self._ranks.append(options.remote(self._setting, self.number, self._size))
        self._begin([rank.place.remote() for rank in self._ranks], self._join_ranks)

    def _join_ranks(self, places: list[RankAddress]) -> None:
        order = sorted(range(self._size), key=lambda index: places[index].address)
        self._ranks = [self._ranks[index] for index in order]
        self.nodes = {place.node for place in places}
        environments: list[dict[str, str]] = [{}]
        if self._size > 1:
            self._server, environments = rendezvous([places[index] for index in order])
        threads = max(1, int(self._bundle.get("CPU", 1)))
        pairs = zip(self._ranks, environments, strict=True)
        joining = [rank.join.remote(n, env, threads) for n, (rank, env) in enumerate(pairs)]
        self._begin(joining, self._finish_joining)

    def _finish_joining(self, _: list[Any]) -> None:
        self.is_ready = True


def rendezvous(places: Sequence[RankAddress]) -> tuple[Any, list[dict[str, str]]]:
    """Start Horovod's rendezvous server, through which a group's ranks find each other with Gloo.

    The ranks are sorted by node. Returns the server, which runs in this process until it is
    stopped, and each rank's environment variables.

    Raises:
        InputError: If Horovod is not installed.
    """
    try:
        from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
        from horovod.runner.gloo_run import create_slot_env_vars
        from horovod.runner.http.http_server import RendezvousServer
    except ImportError as error:
        raise InputError(
            f"groups of {len(places)} ranks need Horovod, which is not installed: {HOW_TO_BUILD}"
        ) from error
    hosts = [(address, len(list(of))) for address, of in groupby(places, lambda p: p.address)]
    text = ",".join(f"{address}:{count}" for address, count in hosts)
    slots = get_host_assignments(parse_hosts(text), len(places))
    server = RendezvousServer(0)
    port = server.start()
    server.init(slots)
    common = {
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": ray.util.get_node_ip_address(),
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
    }
    return server, [
        {**common, **create_slot_env_vars(slot), "HOROVOD_GLOO_IFACE": place.interface}
        for slot, place in zip(slots, places, strict=True)
    ]
