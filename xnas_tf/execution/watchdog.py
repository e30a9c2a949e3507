"""The watchdog: detects signals and hangs in its own thread, whatever the main thread is doing."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator
    from xnas_tf.distributed.options import DistributedOptions

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 20.0
"""Maximum number of seconds from a signal to the end of the process; batch systems allow 30."""
STOP_REPORT = 1.0
"""Maximum number of seconds that a second Ctrl-C waits for ``on_stop``."""
SUSPENDED = 30.0
"""Seconds for one poll, which should take 0.2, after which the process counts as suspended, as by
SIGSTOP or a paused virtual machine. That time says nothing about progress."""
_CLOSE = b"\0"


class Watchdog:
    """A watchdog for this process, active inside its context.

    SIGINT (Ctrl-C), SIGTERM (a batch system's warning) and SIGHUP (a closed terminal, unless
    ``nohup`` ignores it) only set ``stopping``, to 130, 143 or 129, which the main thread reads
    every few steps to save and stop. If it has not stopped within ``GRACE`` seconds, or on a second
    SIGINT, the watchdog ends the process, whatever the main thread is waiting for.

    Args:
        stall_seconds: Maximum number of seconds without progress in an evaluation.
        has_launcher: Whether this process must not outlive the launcher that started it. On other
            hosts, horovodrun ends the ranks by closing the connection to them. Tests show that
            these ranks receive no signal; without the watchdog, they would run forever.
        on_stop: Called in another thread as soon as the process is asked to stop.
    """

    def __init__(
        self,
        stall_seconds: float,
        has_launcher: bool = False,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self.stall_seconds = stall_seconds
        self.stopping = 0
        self._parent = os.getppid() if has_launcher else None
        self._stop_report = threading.Thread(target=on_stop, daemon=True)
        self._on_hang: Callable[[], None] | None = None
        self._last_beat = self._deadline = time.monotonic()
        self._thread = ExitStack()
        self._handlers = ExitStack()

    def __enter__(self) -> Watchdog:
        receiver, sender = map(self._thread.enter_context, socket.socketpair())
        sender.setblocking(False)
        thread = threading.Thread(target=self._run, args=(receiver,), name="watchdog", daemon=True)
        thread.start()
        self._thread.callback(thread.join)
        self._thread.callback(sender.send, _CLOSE)
        with suppress(ValueError):  # only the main thread can handle signals
            before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
            self._handlers.callback(signal.set_wakeup_fd, before)
            for number in SIGNALS:
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    handler = signal.signal(number, lambda *_: None)  # interrupts no step
                    self._handlers.callback(signal.signal, number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        self._handlers.close()
        if not (self.stopping and self._parent is not None):
            self._thread.close()
        # otherwise it watches until the process has ended, which Horovod may prevent

    def report_progress(self) -> None:
        """Report progress."""
        self._last_beat = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Seconds until the watchdog ends a process that was asked to stop."""
        return self._deadline - time.monotonic()

    @contextmanager
    def over(self, on_hang: Callable[[], None]) -> Iterator[None]:
        """Watch an evaluation inside the context.

        Without progress for ``stall_seconds``, ``on_hang`` is called in another thread, and the
        process ends with exit code 1.
        """
        self.report_progress()
        self._on_hang = on_hang
        try:
            yield
        finally:
            self._on_hang = None

    def _run(self, receiver: socket.socket) -> None:
        while True:
            begin = time.monotonic()
            is_ready = select.select([receiver], [], [], 0.2)[0]
            message = receiver.recv(1) if is_ready else b""
            if message == _CLOSE:
                return
            if message:
                self._handle_signal(message[0])
            elif self._is_orphan():
                self._handle_signal(signal.SIGTERM)
            now = time.monotonic()
            if now - begin > SUSPENDED:
                self._last_beat = now
            if self.stopping and now > self._deadline:
                os._exit(self.stopping)
            on_hang = self._on_hang  # the main thread may end the evaluation at any moment
            if on_hang and now - self._last_beat > self.stall_seconds:
                _report_and_exit(on_hang)

    def _is_orphan(self) -> bool:
        if self._parent is None:
            return False
        return os.getppid() != self._parent or _has_no_reader(sys.__stderr__)

    def _handle_signal(self, number: int) -> None:
        if self.stopping and number == signal.SIGINT:
            self._stop_report.join(STOP_REPORT)
            os._exit(self.stopping)
        if number in SIGNALS and not self.stopping:
            self._deadline = time.monotonic() + GRACE
            self.stopping = 128 + number
            self._stop_report.start()


def job_watchdog(
    options: DistributedOptions, world: Communicator, on_stop: Callable[[], None] | None = None
) -> Watchdog:
    """Return the watchdog for a rank, which may be the only rank that horovodrun started."""
    has_launcher = world.size > 1 or "HOROVOD_RANK" in os.environ
    return Watchdog(60 * options.stall_minutes, has_launcher, on_stop)


def _report_and_exit(on_hang: Callable[[], None]) -> None:
    # In its own thread, since the report may have to wait for the main thread.
    report = threading.Thread(target=on_hang, daemon=True)
    report.start()
    report.join(GRACE)
    sys.stderr.flush()
    os._exit(1)


def _has_no_reader(stream: TextIO | None) -> bool:
    """Return whether a stream is a pipe, socket or terminal whose other end is closed."""
    if stream is None:
        return False
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    # A pipe without a reader shows POLLERR, a socket POLLHUP, a pseudo-terminal both (measured).
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
