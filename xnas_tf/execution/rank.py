"""One rank of a group: a process that Ray starts, which evaluates candidates with the others."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xnas_tf.environment import set_defaults
from xnas_tf.evaluation.supervision import Interrupted, Unsupervised

if TYPE_CHECKING:
    import keras
    from ray.actor import ActorHandle

    from xnas_tf.config import Config
    from xnas_tf.evaluation.outcome import Outcome

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
        groups: How many groups there are.
    """

    config: Config
    mailbox: ActorHandle
    folder: str
    path: tuple[str, ...]
    groups: int


@dataclass(frozen=True)
class Place:
    """Where a rank runs.

    Attributes:
        node: The node's id.
        address: Its address.
        interface: The network interface that has it.
        pid: The process.
    """

    node: str
    address: str
    interface: str
    pid: int


class Rank:
    """Evaluates candidates; lives in a process of its own, and stays warm between them.

    Args:
        setting: What all ranks of the search share.
        group: The group's number.
        size: Ranks of the group.
    """

    def __init__(self, setting: Setting, group: int, size: int) -> None:
        self._setting = setting
        self._group = group
        self._size = size
        self._contexts = ExitStack()  # open as long as the process lives

    def place(self) -> Place:
        """Returns where Ray started it."""
        import ray

        node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return Place(node, address, _interface(address), os.getpid())

    def join(self, rank: int, environment: Mapping[str, str], threads: int) -> str:
        """Joins the other ranks of the group, and prepares data and search space.

        Args:
            rank: Its rank within the group, from 0.
            environment: What Horovod reads; empty for a group of one rank.
            threads: CPU threads, if the configuration doesn't say.

        Returns:
            The data's digest.
        """
        self._rank = rank
        os.environ.update(environment)
        os.chdir(self._setting.folder)
        sys.path[:] = self._setting.path
        set_defaults()
        from xnas_tf.distributed import start
        from xnas_tf.kernels import kept_kernels
        from xnas_tf.run.prepare import prepare
        from xnas_tf.tracing import kept_arithmetic

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
        return self._dataset.digest

    def measure_modes(self) -> tuple[dict[str, bool], str]:
        """Returns the modes in place of ``auto``, and why they were chosen."""
        from xnas_tf.run.modes import measure_modes

        return measure_modes(self._setting.config, self._dataset, self._space, self._ranks)

    def prepare(self, modes: dict[str, bool]) -> None:
        """Makes what evaluates candidates, with modes in place of ``auto``."""
        from xnas_tf.config.modes import with_modes
        from xnas_tf.evaluation.shared.evaluator import SharedEvaluator
        from xnas_tf.evaluation.shared.paying import is_shared
        from xnas_tf.evaluation.shared.twins import TwinEvaluator

        config = with_modes(self._setting.config, modes)
        shared = is_shared(config, self._dataset, self._space, self._setting.groups)
        kind = SharedEvaluator if shared else TwinEvaluator
        self._evaluator = kind(config, self._dataset, self._space, self._ranks)

    def evaluate(self, task: dict[str, Any]) -> dict[str, Any]:
        """Evaluates a candidate together with the other ranks; returns its outcome."""
        from xnas_tf.candidate import Candidate

        candidate = Candidate(**task)
        minutes = self._setting.config.training.checkpoint_minutes
        ask = _Asker(self._setting.mailbox, candidate.id)
        supervisor = _Supervisor(ask, self._group, self._rank == 0, 60 * minutes)

        def keep(outcome: Outcome, model: keras.Model) -> None:
            from xnas_tf.run.work import model_bytes

            if ask("wants_model", _plain(outcome)):
                ask("keep_model", model_bytes(model))

        keep_if_leader = keep if self._rank == 0 else None
        return _plain(self._evaluator.evaluate(candidate, keep_if_leader, supervisor))


def _plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome without classes of ours, which would be imported, and TensorFlow with them."""
    found = asdict(outcome)
    return {**found, "seconds": dict(found["seconds"])}


def _interface(address: str) -> str:
    """The network interface that has an address."""
    import psutil

    for name, found in psutil.net_if_addrs().items():
        if any(each.address == address for each in found):
            return name
    return "lo"


class _Asker:
    """Asks the coordinator about one candidate."""

    def __init__(self, mailbox: ActorHandle, number: int) -> None:
        self.mailbox = mailbox
        self._number = number

    def __call__(self, method: str, *arguments: Any) -> Any:
        import ray

        return ray.get(self.mailbox.ask.remote(method, self._number, *arguments))


class _Supervisor(Unsupervised):
    """Stands between an evaluation and the coordinator.

    Only the leader is interrupted: the others leave when it is gone, since it may need them for
    the step it is in.
    """

    def __init__(self, ask: _Asker, group: int, leads: bool, checkpoint_seconds: float) -> None:
        self._ask = ask
        self._group = group
        self._leads = leads
        self._checkpoint_seconds = checkpoint_seconds
        self._saved = time.monotonic()
        self._beaten = 0.0
        self._code = 0

    def beat(self) -> None:
        """Says that there is progress; leaves if all are to leave."""
        self._listen()
        if self._code and self._leads:
            raise Interrupted("the search was told to stop", self._code)

    def wants_checkpoint(self) -> bool:
        """Whether it is time to save, or the last moment for it."""
        self._listen()
        return bool(self._code) or time.monotonic() - self._saved > self._checkpoint_seconds

    def keep_checkpoint(self, data: bytes) -> None:
        """Sends a checkpoint to the coordinator."""
        self._ask("keep_checkpoint", data)
        self._saved = time.monotonic()

    def checkpoint(self) -> bytes | None:
        """The checkpoint that an interrupted evaluation left, if it did."""
        return self._ask("checkpoint") or None

    def known(self, outcome: Outcome) -> dict[str, Any] | None:
        """What the coordinator knows of such a network."""
        return self._ask("known", _plain(outcome))

    def _listen(self) -> None:
        if self._leads and time.monotonic() - self._beaten > BEAT:
            import ray

            self._beaten = time.monotonic()
            self._code = ray.get(self._ask.mailbox.beat.remote(self._group))
