"""Where a group's work comes from: rank 0's desk, directly or through the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any, Protocol

from xnas_tf.distributed import Communicator
from xnas_tf.distributed.address import queue_host
from xnas_tf.distributed.client import QueueClient, Told
from xnas_tf.distributed.queue import Desk, QueueServer
from xnas_tf.run.watch import Watch


class Source(Protocol):
    """What a rank asks of the search; see ``QueueClient``."""

    def next(self, group: int = 0, told: Told | None = None) -> dict[str, Any]:
        """``{"task": …}``, ``{"wait": True}`` or ``{"over": True}``, after telling something."""

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """See ``Desk.known``."""

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """See ``Desk.wants_model``."""

    def keep_model(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_model``."""

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_checkpoint``."""

    def checkpoint(self, number: int) -> bytes:
        """See ``Desk.checkpoint``."""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """See ``Desk.tell``."""

    def meet(self, name: str, count: int) -> bool:
        """Waits for others to say the same; returns whether as many as ``count`` came."""

    def stopping(self) -> int:
        """The exit code that rank 0 was told to leave with; 0 while it was not."""


class Directly:
    """The desk, asked by the only process there is.

    Its watch may tell of a hang while the main thread asks for something: one at a time.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = RLock()

    def next(self, group: int = 0, told: Told | None = None) -> dict[str, Any]:
        """See ``Source.next``; there is never anybody to wait for."""
        with self._turn, self._desk.together():
            if told:
                self._desk.tell(*told)
            task = self._desk.next(group)
        return {"over": True} if task is None else {"task": task}

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """See ``Desk.known``."""
        with self._turn:
            return self._desk.known(number, outcome)

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """See ``Desk.wants_model``."""
        with self._turn:
            return self._desk.wants_model(number, outcome)

    def keep_model(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_model``."""
        self._desk.keep_model(number, data)

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_checkpoint``."""
        self._desk.keep_checkpoint(number, data)

    def checkpoint(self, number: int) -> bytes:
        """See ``Desk.checkpoint``."""
        return self._desk.checkpoint(number)

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """See ``Desk.tell``."""
        with self._turn, self._desk.together():
            self._desk.tell(number, outcome)

    def meet(self, name: str, count: int) -> bool:
        """See ``Source.meet``; there are no others."""
        return True

    def stopping(self) -> int:
        """See ``Source.stopping``; who asks knows."""
        return 0


@contextmanager
def connected(address: dict[str, Any], rank: int) -> Iterator[QueueClient]:
    """A rank's line to rank 0's queue, hung up in the end."""
    client = QueueClient(address, rank)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def source_of(desk: Desk | None, world: Communicator, watch: Watch) -> Iterator[Source]:
    """What this rank asks, as long as it is entered, which all ranks do together.

    Args:
        desk: What decides, on rank 0; None on other ranks.
        world: All ranks.
        watch: Knows whether all ranks are to leave.
    """
    if world.size == 1:
        yield Directly(desk)
        return
    with ExitStack() as stack:
        address = None
        if desk:
            desk.stopping = lambda: watch.stopping
            server = QueueServer(desk, queue_host(world), world.size)
            address = stack.enter_context(server).address
        yield stack.enter_context(connected(world.broadcast(address), world.rank))
