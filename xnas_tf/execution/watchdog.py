"""Notices signals and hangs in a thread of its own, whatever the main thread is doing."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from xnas_tf.training.callbacks import Interrupted, interruption

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 20.0
"""Seconds from a signal to the end of the process, at most: batch systems give 30."""
_CLOSE = b"\0"


class Watchdog:
    """Watches over this process as long as it is entered.

    SIGINT (Ctrl-C) and SIGTERM (a batch system's warning) are only noted: the main thread asks
    for ``stopping`` after every few steps, saves and leaves. If it does not within ``GRACE``
    seconds, or at a second SIGINT, the process ends all the same: whatever it is waiting for,
    this thread still runs.

    Args:
        stall_seconds: How long an evaluation may go without a ``beat``.
        has_launcher: Whether this process belongs to a job whose launcher it must not outlive.
            horovodrun ends the ranks of other hosts by cutting the connection to them: they
            get no signal (measured), and would go on for ever.
    """

    def __init__(self, stall_seconds: float, has_launcher: bool = False) -> None:
        self.stall_seconds = stall_seconds
        self._parent = os.getppid() if has_launcher else None
        self._on_hang: Callable[[], None] | None = None
        self._last = self._deadline = time.monotonic()
        self.stopping = 0
        """The exit code to leave with (130 or 143) once a signal came; 0 before."""

    def __enter__(self) -> Watchdog:
        self._ears, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._before: dict[int, Any] = {}
        with suppress(ValueError):  # only the main thread can hear signals
            self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, _nothing) for number in SIGNALS}
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._before.items():
                signal.signal(number, handler)
        if self.stopping and self._parent is not None:
            return  # it stays on guard until the process has ended: Horovod may not let it
        self._mouth.send(_CLOSE)
        self._thread.join()

    def beat(self) -> None:
        """Says that there is progress."""
        self._last = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Seconds until a process that is told to leave is ended."""
        return self._deadline - time.monotonic()

    def interruption(self) -> Interrupted:
        """What to raise once a signal came and what can be saved is saved."""
        return interruption(self.stopping)

    @contextmanager
    def over(self, on_hang: Callable[[], None]) -> Iterator[None]:
        """Watches an evaluation.

        Args:
            on_hang: Called from the watch's thread when there was no beat for too long; then
                the process ends with exit code 1.
        """
        self.beat()
        self._on_hang = on_hang
        try:
            yield
        finally:
            self._on_hang = None

    def _run(self) -> None:
        while True:
            heard = select.select([self._ears], [], [], 0.2)[0]
            said = self._ears.recv(1) if heard else b""
            if said == _CLOSE:
                return
            if said:
                self._hear(said[0])
            elif self._is_orphan():
                self._hear(signal.SIGTERM)
            now = time.monotonic()
            if self.stopping and now > self._deadline:
                os._exit(self.stopping)
            on_hang = self._on_hang  # the main thread may end the evaluation at any moment
            if on_hang and now - self._last > self.stall_seconds:
                _give_up(on_hang)

    def _is_orphan(self) -> bool:
        if self._parent is None:
            return False
        return os.getppid() != self._parent or _has_no_reader(sys.__stderr__)

    def _hear(self, number: int) -> None:
        if self.stopping and number == signal.SIGINT:
            os._exit(self.stopping)
        if number in SIGNALS and not self.stopping:
            self._deadline = time.monotonic() + GRACE
            self.stopping = 128 + number


def _give_up(on_hang: Callable[[], None]) -> None:
    # In a thread of its own: what it tells may be waiting for the main thread.
    telling = threading.Thread(target=on_hang, daemon=True)
    telling.start()
    telling.join(GRACE)
    sys.stderr.flush()
    os._exit(1)


def _has_no_reader(stream: TextIO | None) -> bool:
    """Whether a stream is a pipe, socket or terminal that nobody reads any more."""
    if stream is None:
        return False
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    # A pipe without a reader shows POLLERR, a socket POLLHUP, a pseudo-terminal both (measured).
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _nothing(*_: object) -> None:
    """A handler, so that the signal neither ends the process nor interrupts a step."""
