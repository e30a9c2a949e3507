"""A group of ranks on Ray: placed together, a Horovod job of its own, replaced as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from xnas_tf.launcher.ray.avoided_nodes import PATIENCE
from xnas_tf.launcher.ray.rank import Rank, RankAddress, Setting
from xnas_tf.launcher.ray.rendezvous import rendezvous


class Group:
    """Ranks that evaluate one candidate together, in processes kept between candidates.

    None of the methods waits. A step, such as starting the ranks or evaluating a candidate, runs in
    the background; ``advance`` completes it, and starts the next step of the start-up.

    Args:
        number: The group's number.
        setting: Settings that all ranks of the search share.
        size: The number of ranks.
        bundle: The resources of a rank: CPU and GPU.
        avoided: Nodes on which not to place the group.

    Attributes:
        places: Where the ranks run.
        facts: The facts of each rank, see ``facts_of``.
        task: The task that is being evaluated; None if there is none.
        is_joined: Whether the ranks have joined but are not prepared yet.
        is_ready: Whether the ranks are prepared to evaluate.
        began: When the current step began, by ``time.monotonic``.
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
        self.places: list[RankAddress] = []
        self.facts: list[dict[str, Any]] = []
        self.task: dict[str, Any] | None = None
        self.is_joined = self.is_ready = False
        self.began = time.monotonic()
        self._ranks: list[Any] = []
        self._server: Any = None
        self._avoided = list(avoided)
        self._placement: Any = None
        self._waited = 0.0
        self._pending: list[Any] = []
        self._then: Callable[[list[Any]], Any] = self._start_ranks
        self._place()

    @property
    def pending(self) -> list[Any]:
        """The references that the current step waits for."""
        return self._pending

    @property
    def nodes(self) -> set[str]:
        """The nodes on which the group runs."""
        return {place.node for place in self.places}

    @property
    def is_starting(self) -> bool:
        """Whether the ranks are placed but not ready yet."""
        return bool(self._ranks) and not self.is_ready

    @property
    def is_idle(self) -> bool:
        """Whether the group can evaluate a candidate now."""
        return self.is_ready and not self._pending

    def advance(self) -> Any:
        """Complete the current step if it is done.

        Returns:
            What the step returns; None if it is not done.

        Raises:
            ray.exceptions.RayError: If a rank died.
            Exception: What a rank raised.
        """
        if not self._pending:
            return None
        ready, waiting = ray.wait(self._pending, num_returns=len(self._pending), timeout=0)
        ray.get(ready)  # raises what a rank raised, even if others are waiting
        if waiting:
            if self._avoided and not self._ranks and time.monotonic() - self.began > PATIENCE:
                self._place_anywhere()
            return None
        values, self._pending = ray.get(self._pending), []
        self.began = time.monotonic()
        return self._then(values)

    def prepare(self) -> None:
        """Start to create the evaluators."""
        self.is_joined = False
        self._begin([rank.prepare.remote() for rank in self._ranks], self._finish_preparing)

    def evaluate(self, task: dict[str, Any]) -> None:
        """Start to evaluate a candidate; ``advance`` returns the fields of its result."""
        self.task = task
        waited = time.monotonic() - self.began
        self._begin([rank.evaluate.remote(task) for rank in self._ranks], self._finish_evaluation)
        self._waited = waited

    def close(self) -> None:
        """End the ranks and release their resources."""
        for rank in self._ranks:
            ray.kill(rank)
        with suppress(ray.exceptions.RayError):
            remove_placement_group(self._placement)
        if self._server:
            self._server.stop()

    def _place(self) -> None:
        selector = {"ray.io/node-id": f"!in({','.join(self._avoided)})"}
        self._placement = placement_group(
            [dict(self._bundle)] * self._size,
            strategy="PACK",
            bundle_label_selector=[selector] * self._size if self._avoided else None,
        )
        self._begin([self._placement.ready()], self._start_ranks)

    def _place_anywhere(self) -> None:
        """Allow any node, as the others are full."""
        remove_placement_group(self._placement)
        self._avoided = []
        self._place()

    def _begin(self, references: list[Any], then: Callable[[list[Any]], Any]) -> None:
        """Begin a step, which ends by calling ``then`` with the values of the references."""
        self._pending, self._then = references, then
        self.began = time.monotonic()

    def _start_ranks(self, _: list[Any]) -> None:
        resources = dict(self._bundle)
        remote = ray.remote(Rank)
        for index in range(self._size):
            strategy = PlacementGroupSchedulingStrategy(self._placement, index)
            options = remote.options(
                num_cpus=resources.get("CPU", 0),
                num_gpus=resources.get("GPU", 0),
                scheduling_strategy=strategy,
            )
            self._ranks.append(options.remote(self._setting, self.number, self._size))
        self._begin([rank.place.remote() for rank in self._ranks], self._join_ranks)

    def _join_ranks(self, places: list[RankAddress]) -> None:
        order = sorted(range(self._size), key=lambda index: places[index].address)
        self._ranks = [self._ranks[index] for index in order]
        self.places = [places[index] for index in order]
        environments = self._environments()
        threads = max(1, int(self._bundle.get("CPU", 1)))
        pairs = zip(self._ranks, environments, strict=True)
        joining = [rank.join.remote(n, env, threads) for n, (rank, env) in enumerate(pairs)]
        self._begin(joining, self._finish_joining)

    def _environments(self) -> list[dict[str, str]]:
        if self._size == 1:
            return [{}]
        self._server, environments = rendezvous(self.places)
        return environments

    def _finish_joining(self, facts: list[dict[str, Any]]) -> None:
        self.facts, self.is_joined = facts, True

    def _finish_preparing(self, _: list[Any]) -> None:
        self.is_ready = True

    def _finish_evaluation(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        results[0]["seconds"]["wait"] = self._waited
        return results[0]
