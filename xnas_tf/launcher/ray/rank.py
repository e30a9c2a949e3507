"""One rank of a group: a process that Ray starts, which evaluates candidates with the others."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xnas_tf.utils.environment import set_defaults

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from xnas_tf.config import Config

BEAT = 1.0
"""Seconds between two heartbeats, at least."""


@dataclass(frozen=True)
class Setting:
    """What all ranks of a search share.

    Attributes:
        config: The configuration.
        mailbox: Where questions to the coordinator go.
        folder: The driver's working directory, to which paths are relative.
        path: The driver's ``sys.path``, which may have a user's HyperModel.
        groups: How many groups there are at the start.
        objects: What the user gave as objects, such as a HyperModel.
    """

    config: Config
    mailbox: ActorHandle
    folder: str
    path: tuple[str, ...]
    groups: int
    objects: dict[str, Any]


@dataclass(frozen=True)
class RankAddress:
    """Where a rank runs.

    Attributes:
        node: The node's id.
        address: Its address.
        interface: The network interface that has it.
    """

    node: str
    address: str
    interface: str


class Rank:
    """Evaluates candidates; lives in a process of its own, and stays warm between them.

    Args:
        setting: What all ranks of the search share.
        group: The group's number.
        size: Ranks of the group.
    """

    def __init__(self, setting: Setting, group: int, size: int) -> None:
        self._setting = setting
        self._size = size
        self._heartbeat = Heartbeat(setting.mailbox, group)
        self._contexts = ExitStack()  # open as long as the process lives

    def place(self) -> RankAddress:
        """Returns where Ray started it."""
        import ray

        node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return RankAddress(node, address, _interface(address))

    def join(self, rank: int, environment: Mapping[str, str], threads: int) -> dict[str, Any]:
        """Joins the other ranks of the group, and prepares data and search space.

        Args:
            rank: Its rank within the group, from 0.
            environment: What Horovod reads; empty for a group of one rank.
            threads: CPU threads, if the configuration doesn't say.

        Returns:
            What must be the same everywhere, see ``facts_of``.
        """
        self._rank = rank
        os.environ.update(environment)
        os.chdir(self._setting.folder)
        sys.path[:] = self._setting.path
        set_defaults()
        from xnas_tf.distributed import start
        from xnas_tf.execution.preparation import prepare
        from xnas_tf.keras_tools.kernel_cache import kept_kernels
        from xnas_tf.spaces.options import take_objects

        take_objects(self._setting.objects)
        from xnas_tf.keras_tools.tracing import kept_arithmetic

        config = self._setting.config
        distributed = config.distributed
        if distributed.threads_per_rank is None:
            distributed = distributed.model_copy(update={"threads_per_rank": threads})
        self._ranks = start(
            distributed,
            config.training.deterministic,
            config.space.branches,
            alone=self._size == 1,
        )
        self._dataset, self._space = prepare(config, self._ranks, self._size)
        self._contexts.enter_context(kept_arithmetic())
        if self._space.is_built_in:
            self._contexts.enter_context(kept_kernels())
        return facts_of(self._dataset.digest)

    def measure_modes(self) -> tuple[dict[str, bool], str]:
        """Returns the modes in place of ``auto``, and why they were chosen."""
        from xnas_tf.evaluation.modes import chosen_modes

        setting = self._setting
        return chosen_modes(setting.config, self._dataset, self._space, self._ranks, setting.groups)

    def prepare(self, modes: dict[str, bool]) -> None:
        """Makes what evaluates candidates, with modes in place of ``auto``."""
        from xnas_tf.evaluation.evaluator import Evaluator
        from xnas_tf.evaluation.open_modes import with_modes
        from xnas_tf.evaluation.supernet.backend import backend_for

        config = with_modes(self._setting.config, modes)
        given = config, self._dataset, self._space, self._ranks
        self._evaluator = Evaluator(*given, backend_for(*given, self._setting.groups))

    def evaluate(self, task: dict[str, Any]) -> dict[str, Any]:
        """Evaluates a candidate together with the other ranks; returns its outcome."""
        from xnas_tf.execution.task import TaskCallback, evaluate

        ask = self._ask if self._rank == 0 else None
        minutes = self._setting.config.training.checkpoint_minutes
        supervisor = TaskCallback(task["id"], ask, self._ranks, self._heartbeat, minutes)
        return evaluate(self._evaluator, task, ask, supervisor).as_dict()

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Calls a method of the coordinator."""
        import ray

        return ray.get(self._setting.mailbox.ask.remote(method, *arguments))


class Heartbeat:
    """Tells the driver that there is progress, and hears from it when to leave.

    Args:
        mailbox: Of the search.
        group: The group's number.
    """

    def __init__(self, mailbox: ActorHandle, group: int) -> None:
        self._mailbox = mailbox
        self._group = group
        self._last = float("-inf")
        self.stopping: int = 0
        """The exit code to leave with; 0 while there is none."""

    def beat(self) -> None:
        """Says so, and asks, once in a while."""
        import ray

        if time.monotonic() - self._last > BEAT:
            self._last = time.monotonic()
            code: Any = ray.get(self._mailbox.beat.remote(self._group))
            self.stopping = code


def facts_of(digest: str) -> dict[str, Any]:
    """What must be the same on all hosts: the digest of the data, and versions."""
    from xnas_tf.utils.versions import versions

    return {"data": digest, "versions": versions()}


def _interface(address: str) -> str:
    """The network interface that has an address."""
    import psutil

    for name, found in psutil.net_if_addrs().items():
        if any(each.address == address for each in found):
            return name
    return "lo"
