"""A rank's line to the work queue on rank 0."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from xnas_tf.distributed.queue import framed
from xnas_tf.distributed.wire import HEADER, NONCE, Seal, WireError
from xnas_tf.errors import RunError

PATIENCE = 300.0
"""Seconds that rank 0 may take for a reply: a slow disk, a large model."""
Told = tuple[int, dict[str, Any]]
"""A candidate's number and outcome."""
TRIES = 8
"""Attempts at a connection, over some 12 seconds: rank 0 hangs up on the oldest of those that
it does not know yet when too many come at once."""


class QueueClient:
    """A rank's line to the queue. One request at a time; others wait for it.

    Args:
        address: ``QueueServer.address``.
        rank: This rank. If it vanishes without ``close``, rank 0 notes that it died.

    Raises:
        RunError: If rank 0 cannot be reached; by every method, if it is gone or has failed.
    """

    def __init__(self, address: dict[str, Any], rank: int = 0) -> None:
        self._turn = threading.Lock()
        self._socket: socket.socket | None = None
        for pause in [0.1 * 2**attempt for attempt in range(TRIES - 1)] + [None]:
            try:
                self._connect(address)
                self._exchange({"do": "hello", "rank": rank})
                return
            except OSError as error:
                # It listened before anybody was told its address.
                if pause is None or isinstance(error, ConnectionRefusedError):
                    message = f"rank 0's work queue cannot be reached: {error}"
                    raise RunError(message) from error
            if self._socket:
                self._socket.close()
            # Not all at the same moment again: they came together.
            time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))

    def _connect(self, address: dict[str, Any]) -> None:
        target = address["host"], address["port"]
        self._socket = socket.create_connection(target, timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server, nonce = self._read(NONCE), secrets.token_bytes(NONCE)
        self._socket.sendall(nonce)
        self._seal = Seal(bytes.fromhex(address["key"]), server + nonce, is_server=False)

    def next(self, group: int = 0, told: Told | None = None) -> dict[str, Any]:
        """``{"task": …}``, ``{"wait": True}`` or ``{"over": True}``; may take seconds.

        Args:
            group: The group that asks.
            told: What it would ``tell`` before that.
        """
        return self.request({"do": "next", "group": group, "told": told})[0]

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """See ``Desk.known``."""
        return self.request({"do": "known", "id": number, "outcome": outcome})[0]["known"]

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """See ``Desk.wants_model``."""
        return self.request({"do": "wants_model", "id": number, "outcome": outcome})[0]["wants"]

    def keep_model(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_model``."""
        self.request({"do": "keep_model", "id": number}, data)

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """See ``Desk.keep_checkpoint``."""
        self.request({"do": "keep_checkpoint", "id": number}, data)

    def checkpoint(self, number: int) -> bytes:
        """See ``Desk.checkpoint``."""
        return self.request({"do": "checkpoint", "id": number})[1]

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """See ``Desk.tell``."""
        self.request({"do": "tell", "id": number, "outcome": outcome})

    def meet(self, name: str, count: int) -> bool:
        """Waits for others to say the same; returns whether as many as ``count`` came."""
        return self.request({"do": "meet", "name": name, "count": count})[0]["met"]

    def stopping(self) -> int:
        """The exit code that rank 0 was told to leave with; 0 while it was not."""
        return self.request({"do": "stopping"})[0]["code"]

    def request(self, message: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Sends a message that JSON can hold, with data after it; returns the reply, likewise."""
        with self._turn:
            try:
                return self._exchange(message, data)
            except OSError as error:
                raise RunError(f"rank 0 is gone: {error}") from error

    def _exchange(self, message: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        self._send(message, data)
        reply = json.loads(self._receive())
        received = b"".join([self._receive() for _ in range(reply["data"])])
        if "failed" in reply:
            raise RunError(f"rank 0: {reply['failed']}")
        return reply, received

    def close(self) -> None:
        """Says goodbye and hangs up."""
        with suppress(OSError):  # nobody is there any more
            self._send({"do": "bye"}, b"")
        self._socket.close()

    def _send(self, message: dict[str, Any], data: bytes) -> None:
        for frame in framed(message, data):
            self._socket.sendall(self._seal.header(frame) + frame)

    def _receive(self) -> bytes:
        header = self._read(HEADER.size)
        return self._seal.check(header, self._read(self._seal.length(header)))

    def _read(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._socket.recv(min(length - len(parts), 1 << 20))
            if not part:
                raise WireError("the connection was closed")
            parts += part
        return bytes(parts)
