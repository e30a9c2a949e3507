"""A rank on Ray: a process that evaluates its group's tasks together with the other ranks."""

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

from xnas_tf.config import Config, differences
from xnas_tf.distributed import Communicator, start
from xnas_tf.errors import InputError
from xnas_tf.execution.task import RankEvaluator
from xnas_tf.execution.task_source import Task, forwarding
from xnas_tf.registry import OBJECTS
from xnas_tf.utils.environment import set_defaults
from xnas_tf.utils.source_code import changed_files
from xnas_tf.utils.versions import versions

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from xnas_tf.candidate import Result
    from xnas_tf.evaluation.evaluator import Evaluator
    from xnas_tf.launcher.ray.mailbox import Mailbox

BEAT_SECONDS = 1.0
"""Minimum number of seconds between two heartbeats."""


@dataclass(frozen=True)
class Setting:
    """Settings shared by all ranks of a search.

    ``folder`` is the driver's working directory, for relative paths, and ``path`` its ``sys.path``.
    ``groups`` is the number of groups at the start, and ``objects`` are passed by the user.
    ``facts``, the driver's ``facts_of``, must be the same on all ranks.
    """

    config: Config
    mailbox: ActorHandle[Mailbox]
    folder: str
    path: tuple[str, ...]
    groups: int
    objects: dict[str, Any]
    facts: dict[str, Any]


@dataclass(frozen=True)
class RankAddress:
    """A rank's location: its node's id, IP address and network interface."""

    node: str
    address: str
    interface: str


class Rank:
    """A process that evaluates candidates, once the group has called ``place`` and ``join``."""

    def __init__(self, setting: Setting, group: int, size: int) -> None:
        self._setting = setting
        self._size = size
        self._heartbeat = Heartbeat(setting.mailbox, group)
        self._contexts = ExitStack()  # open until the process ends
        self._member: RankEvaluator

    def place(self) -> RankAddress:
        """Return the address at which Ray started this rank."""
        node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return RankAddress(node, address, _interface(address))

    def join(self, rank: int, environment: Mapping[str, str], threads: int) -> None:
        """Join the group's other ranks, and prepare to evaluate.

        ``rank`` is this rank's number within the group, from 0, and ``environment`` contains
        variables for Horovod. ``threads`` is used unless another number is configured.

        Raises:
            InputError: If this rank's data, versions or code differ from the driver's.
        """
        setting = self._setting
        os.environ.update(environment)
        os.chdir(setting.folder)
        sys.path[:] = setting.path
        set_defaults()
        OBJECTS.update(setting.objects)
        ranks = self._start(threads)
        evaluator = self._evaluator(ranks)
        source = forwarding(self._ask) if rank == 0 else None
        minutes = setting.config.training.checkpoint_minutes
        self._member = RankEvaluator(evaluator, ranks, source, self._heartbeat, minutes)

    def evaluate(self, task: Task) -> Result:
        """Evaluate a task together with the other ranks."""
        return self._member.evaluate(task)

    def _start(self, threads: int) -> Communicator:
        config = self._setting.config
        distributed = config.distributed
        if distributed.threads_per_rank is None:
            distributed = distributed.model_copy(update={"threads_per_rank": threads})
        is_alone = self._size == 1
        return start(
            distributed, config.training.deterministic, config.space.branches, alone=is_alone
        )

    def _evaluator(self, ranks: Communicator) -> Evaluator:
        from xnas_tf.evaluation.evaluator import Evaluator
        from xnas_tf.evaluation.supernet.backend import backend_for
        from xnas_tf.execution.code_changes import shared_hashes
        from xnas_tf.execution.preparation import prepare
        from xnas_tf.keras_tools.kernel_cache import kept_kernels
        from xnas_tf.keras_tools.tracing import kept_arithmetic

        config, dataset, space = prepare(self._setting.config, ranks, self._size)
        facts = facts_of(dataset.digest, shared_hashes(config, space))
        if lines := different_facts(facts, self._setting.facts):
            listed, address = "\n  ".join(lines), ray.util.get_node_ip_address()
            raise InputError(f"{address} differs from the driver:\n  {listed}")
        self._contexts.enter_context(kept_arithmetic())
        if space.is_built_in:
            self._contexts.enter_context(kept_kernels())
        backend = backend_for(config, dataset, space, ranks, self._setting.groups)
        return Evaluator(config, dataset, space, ranks, backend)

    def _ask(self, method: str, *arguments: Any) -> Any:
        answer: Any = self._setting.mailbox.ask.remote(method, *arguments)
        # The driver may be drawing; training does not wait until it has shown an epoch.
        return None if method == "on_epoch_end" else ray.get(answer)


@dataclass
class Heartbeat:
    """Reports progress to the driver, which answers with ``stopping``: 0, or an exit code."""

    mailbox: ActorHandle[Mailbox]
    group: int
    stopping: int = 0
    last_beat: float = float("-inf")

    def report_progress(self) -> None:
        """Report progress, at most once every ``BEAT_SECONDS``."""
        if time.monotonic() - self.last_beat > BEAT_SECONDS:
            self.last_beat = time.monotonic()
            code: Any = ray.get(self.mailbox.report_progress.remote(self.group))
            self.stopping = code


def _interface(address: str) -> str:
    """Return the network interface that has the given address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            return name
    return "lo"


def facts_of(digest: str, code: dict[str, str]) -> dict[str, Any]:
    """Return what must be the same on all hosts: data, versions, Keras' settings and code."""
    from xnas_tf.keras_tools.settings import KerasSettings

    keras_settings = KerasSettings.current().facts
    return {"data": digest, "versions": versions(), "keras.config": keras_settings, "code": code}


def different_facts(mine: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    """Return a line for each fact that differs from the driver's."""
    one, other = ({**facts, "code": None} for facts in (mine, reference))
    lines = differences(one, other, "there, at the driver")
    if any(line.startswith("keras.config") for line in lines):
        lines.append("set keras.config in the HyperModel's module, which ranks import")
    files = changed_files(reference["code"], mine["code"])
    return [*lines, *(f"{file} has other code there" for file in files)]
