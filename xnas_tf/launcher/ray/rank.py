"""A rank on Ray: a process that evaluates the tasks of its group together with the other ranks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import ray

from xnas_tf.distributed import start
from xnas_tf.execution.task import TaskCallback, evaluate
from xnas_tf.spaces.options import OBJECTS
from xnas_tf.utils.environment import set_defaults
from xnas_tf.utils.versions import versions

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from xnas_tf.config import Config
    from xnas_tf.data import Dataset
    from xnas_tf.distributed import Communicator
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.launcher.ray.mailbox import Mailbox
    from xnas_tf.spaces.search_space import SearchSpace

BEAT_SECONDS = 1.0
"""Minimum seconds between two heartbeats."""


@dataclass(frozen=True)
class Setting:
    """Settings that all ranks of a search share.

    Attributes:
        config: The configuration.
        mailbox: The mailbox for questions to the coordinator.
        folder: The driver's working directory, to which paths are relative.
        path: The driver's ``sys.path``, on which a user's HyperModel may be.
        groups: The number of groups at the start.
        objects: Objects that the user passed, such as a HyperModel.
    """

    config: Config
    mailbox: ActorHandle[Mailbox]
    folder: str
    path: tuple[str, ...]
    groups: int
    objects: dict[str, Any]


@dataclass(frozen=True)
class RankAddress:
    """Where a rank runs.

    Attributes:
        node: The node's id.
        address: The node's IP address.
        interface: The network interface with this address.
    """

    node: str
    address: str
    interface: str


class Rank:
    """Evaluates candidates in its own process, which is kept between candidates.

    Its group calls ``place``, ``join`` and ``prepare``, then ``evaluate`` for each candidate.

    Args:
        setting: Settings that all ranks of the search share.
        group: The group's number.
        size: The number of ranks in the group.
    """

    def __init__(self, setting: Setting, group: int, size: int) -> None:
        self._setting = setting
        self._size = size
        self._heartbeat = Heartbeat(setting.mailbox, group)
        self._contexts = ExitStack()  # open until the process ends
        self._rank: int
        self._ranks: Communicator
        self._dataset: Dataset
        self._space: SearchSpace
        self._evaluator: Evaluator

    def place(self) -> RankAddress:
        """Return where Ray started this rank."""
        node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return RankAddress(node, address, _interface(address))

    def join(self, rank: int, environment: Mapping[str, str], threads: int) -> dict[str, Any]:
        """Join the other ranks of the group, and prepare the data and the search space.

        Args:
            rank: The rank within the group, from 0.
            environment: Environment variables for Horovod; empty for a group of one rank.
            threads: CPU threads, unless configured.

        Returns:
            The facts that must be the same on all hosts, see ``facts_of``.
        """
        self._rank = rank
        os.environ.update(environment)
        os.chdir(self._setting.folder)
        sys.path[:] = self._setting.path
        set_defaults()
        from xnas_tf.execution.preparation import prepare
        from xnas_tf.keras_tools.kernel_cache import kept_kernels
        from xnas_tf.keras_tools.tracing import kept_arithmetic

        OBJECTS.update(self._setting.objects)

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

    def prepare(self) -> None:
        """Create the evaluator."""
        from xnas_tf.evaluation.evaluator import Evaluator
        from xnas_tf.evaluation.supernet.backend import backend_for

        config, dataset = self._setting.config, self._dataset
        backend = backend_for(config, dataset, self._space, self._ranks, self._setting.groups)
        self._evaluator = Evaluator(config, dataset, self._space, self._ranks, backend)

    def evaluate(self, task: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a candidate together with the other ranks; return the fields of its result."""
        ask = self._ask if self._rank == 0 else None
        minutes = self._setting.config.training.checkpoint_minutes
        callback = TaskCallback(task["id"], ask, self._ranks, self._heartbeat, minutes)
        return evaluate(self._evaluator, task, ask, callback).as_dict()

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the coordinator through the mailbox."""
        return ray.get(self._setting.mailbox.ask.remote(method, *arguments))


class Heartbeat:
    """Reports progress to the driver, and learns from it when to stop.

    Args:
        mailbox: The mailbox of the search.
        group: The group's number.

    Attributes:
        stopping: The exit code to stop with; 0 if the rank is not to stop.
    """

    def __init__(self, mailbox: ActorHandle[Mailbox], group: int) -> None:
        self._mailbox = mailbox
        self._group = group
        self._last_beat = float("-inf")
        self.stopping: int = 0

    def report_progress(self) -> None:
        """Report progress, but not more often than every ``BEAT_SECONDS``."""
        if time.monotonic() - self._last_beat > BEAT_SECONDS:
            self._last_beat = time.monotonic()
            code: Any = ray.get(self._mailbox.report_progress.remote(self._group))
            self.stopping = code


def facts_of(digest: str) -> dict[str, Any]:
    """Return what must be the same on all hosts: the digest of the data, and versions."""
    return {"data": digest, "versions": versions()}


def _interface(address: str) -> str:
    """Return the network interface with an address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            return name
    return "lo"
