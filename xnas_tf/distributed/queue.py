"""The work queue: leaders of groups ask rank 0 for candidates and hand back outcomes."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from xnas_tf.distributed.wire import HEADER, NONCE, Seal, WireError
from xnas_tf.errors import RunError

HOLD = 5.0
"""Seconds after which a request for a candidate is answered with "wait" when there is none, so
that the ranks of a group hear of each other long before Horovod takes them for stalled."""
PATIENCE = 10.0
"""Seconds that an unknown client may take to prove who it is."""
STRANGERS = 512
"""Clients that may be proving it at the same time; others wait in line."""


class Desk(Protocol):
    """What the queue stands in front of (``Conductor``); called from the queue's thread only."""

    @property
    def is_over(self) -> bool:
        """Whether no task will come any more."""

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """A task for a group; None while there is none."""

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """Whether a candidate's model is to be kept."""

    def keep_model(self, number: int, data: bytes) -> None:
        """Keeps it."""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Takes a candidate's outcome."""

    def together(self) -> AbstractContextManager[None]:
        """Inside, everything is recorded at once when it ends."""


@dataclass
class _Request:
    message: dict[str, Any]
    data: bytes
    reply: asyncio.Future
    deadline: float


class QueueServer:
    """Serves a desk to all groups, in a thread of its own.

    What many groups say at the same time is recorded in one transaction, and answered when
    it is recorded. Requests for candidates wait in line, the longest waiting first.

    Args:
        desk: What decides.
        host: The address to listen on.
    """

    def __init__(self, desk: Desk, host: str = "127.0.0.1") -> None:
        self._desk = desk
        self._host = host
        self.key = secrets.token_bytes(32)
        self.port = 0
        self.failure: BaseException | None = None
        """What ended the service, if anything did."""
        self._inbox: list[_Request] = []
        self._waiting: list[_Request] = []
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="work queue", daemon=True)

    def __enter__(self) -> QueueServer:
        self._thread.start()
        self._listening.wait()
        if self.failure:
            raise RunError(f"the work queue cannot listen on {self._host}: {self.failure}")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> dict[str, Any]:
        """What clients must know; keep it secret."""
        return {"host": self._host, "port": self.port, "key": self.key.hex()}

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to all who ask, and by rank 0's main thread
            self.failure = error
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._strangers = asyncio.Semaphore(STRANGERS)
        server = await asyncio.start_server(self._converse, self._host, 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        turns = asyncio.create_task(self._take_turns())
        await self._stop.wait()
        server.close()
        turns.cancel()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._strangers:
                seal, content = await asyncio.wait_for(_greet(self.key, reader, writer), PATIENCE)
            while True:
                message = json.loads(content)
                data = await _receive(seal, reader) if message.get("data") else b""
                reply = await self._answer(message, data)
                content = json.dumps(reply).encode()
                writer.write(seal.header(content) + content)
                await writer.drain()
                content = await _receive(seal, reader)
        except (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ValueError):
            pass  # gone, or not who it should be: nothing was looked at
        finally:
            writer.close()

    async def _answer(self, message: dict[str, Any], data: bytes) -> dict[str, Any]:
        deadline = self._loop.time() + HOLD
        request = _Request(message, data, self._loop.create_future(), deadline)
        self._inbox.append(request)
        self._wake.set()
        return await request.reply

    async def _take_turns(self) -> None:
        while True:
            await self._something()
            requests, self._inbox = self._inbox, []
            for request, reply in self._turn(requests):
                if not request.reply.done():
                    request.reply.set_result(reply)

    def _turn(self, requests: list[_Request]) -> list[tuple[_Request, dict[str, Any]]]:
        """Replies to all that was asked since the last turn; after a failure only to say so."""
        try:
            if self.failure is None:
                with self._desk.together():
                    replies = [reply for request in requests for reply in self._take(request)]
                    return [*replies, *self._serve_waiting()]
        except BaseException as error:  # raised again by rank 0's main thread
            self.failure = error
        failed = {"failed": str(self.failure)}
        replies = [(request, failed) for request in (*requests, *self._waiting)]
        self._waiting = []
        return replies

    async def _something(self) -> None:
        """Waits for a request, or for one that has waited long enough."""
        times = [request.deadline - self._loop.time() for request in self._waiting]
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(times)) if times else None)
        self._wake.clear()

    def _take(self, request: _Request) -> list[tuple[_Request, dict[str, Any]]]:
        message, reply = request.message, {}
        match message.get("do"):
            case "next":
                self._waiting.append(request)
                return []
            case "wants":
                reply["wants"] = self._desk.wants_model(message["id"], message["outcome"])
            case "model":
                self._desk.keep_model(message["id"], request.data)
            case "tell":
                self._desk.tell(message["id"], message["outcome"])
            case other:
                reply["failed"] = f"unknown request {other!r}"
        return [(request, reply)]

    def _serve_waiting(self) -> Iterator[tuple[_Request, dict[str, Any]]]:
        """Tasks for those in line as long as there are some; then patience, or the end."""
        now, waiting, self._waiting = self._loop.time(), self._waiting, []
        task: dict[str, Any] | None = {}
        for request in waiting:
            task = self._desk.next(request.message["group"]) if task is not None else None
            if task is not None:
                yield request, {"task": task}
            elif self._desk.is_over:
                yield request, {"over": True}
            elif request.deadline <= now:
                yield request, {"wait": True}
            else:
                self._waiting.append(request)


async def _greet(
    key: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[Seal, bytes]:
    """Exchanges nonces; returns the seal and the first content, which proves the client."""
    nonce = secrets.token_bytes(NONCE)
    writer.write(nonce)
    seal = Seal(key, nonce + await reader.readexactly(NONCE), is_server=True)
    return seal, await _receive(seal, reader)


async def _receive(seal: Seal, reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(HEADER.size)
    return seal.check(header, await reader.readexactly(seal.length(header)))


class QueueClient:
    """A leader's line to the queue.

    Args:
        address: ``QueueServer.address``.

    Raises:
        RunError: If rank 0 cannot be reached.
    """

    def __init__(self, address: dict[str, Any]) -> None:
        try:
            self._socket = socket.create_connection((address["host"], address["port"]), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = self._read(NONCE)
            nonce = secrets.token_bytes(NONCE)
            self._socket.sendall(nonce)
        except OSError as error:
            raise RunError(f"rank 0's work queue cannot be reached: {error}") from error
        self._seal = Seal(bytes.fromhex(address["key"]), server + nonce, is_server=False)

    def request(self, message: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        """Asks and waits for the reply.

        Args:
            message: What JSON can hold.
            data: Sent after it.

        Raises:
            RunError: If rank 0 is gone or has failed.
        """
        contents = [json.dumps({**message, "data": bool(data)}).encode(), *([data] if data else [])]
        try:
            for content in contents:
                self._socket.sendall(self._seal.header(content) + content)
            header = self._read(HEADER.size)
            reply = json.loads(self._seal.check(header, self._read(self._seal.length(header))))
        except OSError as error:
            raise RunError(f"rank 0 is gone: {error}") from error
        if "failed" in reply:
            raise RunError(f"rank 0: {reply['failed']}")
        return reply

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _read(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._socket.recv(min(length - len(parts), 1 << 20))
            if not part:
                raise WireError("the connection was closed")
            parts += part
        return bytes(parts)
