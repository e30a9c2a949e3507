"""Rank 0's work queue: groups ask it for candidates and hand back outcomes."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from xnas_tf.distributed.door import PATIENCE, Door, listen, receive
from xnas_tf.distributed.wire import PIECE
from xnas_tf.errors import RunError, XnasError
from xnas_tf.registry import describe

HOLD = 5.0
"""Seconds after which a request for a candidate is answered with "wait" when there is none, so
that the ranks of a group hear of each other long before Horovod takes them for stalled; and
after which those who wait for others to meet are told that these did not come."""


class Desk(Protocol):
    """What the queue stands in front of (``Conductor``); called from the queue's thread only."""

    stopping: Callable[[], int]
    """The exit code that all ranks are told to leave with; 0 while they are not."""

    @property
    def is_over(self) -> bool:
        """Whether no task will come any more."""

    def next(self, group: int = 0) -> dict[str, Any] | None:
        """A task for a group; None while there is none."""

    def known(self, number: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """What is known already of a candidate's network, in place of its training."""

    def wants_model(self, number: int, outcome: dict[str, Any]) -> bool:
        """Whether a candidate's model is to be kept."""

    def keep_model(self, number: int, data: bytes) -> None:
        """Keeps it."""

    def keep_checkpoint(self, number: int, data: bytes) -> None:
        """Keeps what a candidate's training can go on from."""

    def checkpoint(self, number: int) -> bytes:
        """What was kept last; empty if nothing was."""

    def tell(self, number: int, outcome: dict[str, Any]) -> None:
        """Takes a candidate's outcome."""

    def lost(self, rank: int) -> None:
        """Hears which rank of the job was the first to vanish."""

    def together(self) -> AbstractContextManager[None]:
        """Inside, everything is recorded at once when it ends."""


@dataclass
class _Request:
    message: dict[str, Any]
    data: bytes
    reply: asyncio.Future
    deadline: float


_GONE = (OSError, EOFError, TimeoutError, asyncio.TimeoutError, ValueError)
Reply = tuple[_Request, dict[str, Any], bytes]


class QueueServer:
    """Serves a desk to all groups, in a thread of its own.

    What many groups say at the same time is recorded in one transaction, and answered when
    it is recorded. Requests for candidates wait in line, the longest waiting first.

    Args:
        desk: What decides.
        host: The address to listen on.
        ranks: Ranks that will come.

    Raises:
        RunError: On entering, if it cannot listen there, or not to so many.
    """

    def __init__(self, desk: Desk, host: str = "127.0.0.1", ranks: int = 1) -> None:
        self._desk = desk
        self._host = host
        self._ranks = ranks
        self.key = secrets.token_bytes(32)
        self.port = 0
        self.failure: BaseException | None = None
        """What ended the service, if anything did."""
        self._inbox: list[_Request] = []
        self._waiting: list[_Request] = []
        self._meetings: dict[str, list[_Request]] = {}
        self._gone: dict[str, str] = {}
        """The reply to who would wait for a rank that is gone."""
        self._is_hanging_up = False
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="work queue", daemon=True)

    def __enter__(self) -> QueueServer:
        self._door = Door(self.key, self._ranks)
        self._thread.start()
        self._listening.wait()
        if self.failure:
            raise RunError(f"the work queue cannot listen on {self._host}: {self.failure}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._patience = 0.0 if kind else PATIENCE
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
        self._conversations: dict[asyncio.Task, asyncio.StreamWriter] = {}
        server = await listen(self._converse, self._host)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        turns = asyncio.create_task(self._take_turns())
        await self._stop.wait()
        server.close()
        # Those who have just heard that it is over are hanging up; then it is our turn.
        for patience in (self._patience, 1.0):
            if self._conversations:
                await asyncio.wait(list(self._conversations), timeout=patience)
            self._is_hanging_up = True
            for writer in self._conversations.values():
                writer.close()
        turns.cancel()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation, rank = asyncio.current_task(), None
        try:
            seal, content = await self._door.welcome(reader, writer)
            self._conversations[conversation] = writer
            while (message := json.loads(content))["do"] != "bye":
                rank = message.get("rank", rank)
                data = b"".join([await receive(seal, reader) for _ in range(message["data"])])
                for frame in framed(*await self._answer(message, data)):
                    writer.write(seal.header(frame) + frame)
                await writer.drain()
                content = await receive(seal, reader)
            await self._answer({"do": "left", "rank": rank}, b"")
        except (*_GONE, asyncio.CancelledError):  # the latter at the end, which asyncio would log
            # Gone, or not who it should be: then nothing was looked at.
            if rank is not None and not self._is_hanging_up:
                await self._answer({"do": "lost", "rank": rank}, b"")
        finally:
            self._conversations.pop(conversation, None)
            writer.close()

    async def _answer(self, message: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        if message["do"] == "stopping" and not self.failure:
            # Every leader asks every second; it takes no turn to know.
            return {"code": self._desk.stopping()}, b""
        deadline = self._loop.time() + HOLD
        request = _Request(message, data, self._loop.create_future(), deadline)
        self._inbox.append(request)
        self._wake.set()
        return await request.reply

    async def _take_turns(self) -> None:
        while True:
            await self._something()
            begin = self._loop.time()
            requests, self._inbox = self._inbox, []
            for request, reply, data in self._turn(requests):
                if not request.reply.done():
                    request.reply.set_result((reply, data))
            # As long a pause: the more is asked at the same time, the more is answered, recorded
            # and ranked at once.
            await asyncio.sleep(self._loop.time() - begin)

    def _turn(self, requests: list[_Request]) -> list[Reply]:
        """Replies to all that was asked since the last turn; after a failure only to say so."""
        meeting = [request for meeting in self._meetings.values() for request in meeting]
        everyone = [*requests, *self._waiting, *meeting]
        try:
            if self.failure is None:
                with self._desk.together():
                    replies = [reply for request in requests for reply in self._take(request)]
                    return [*replies, *self._serve_waiting(), *self._hold_meetings()]
        except BaseException as error:  # told to all who ask, rank 0 among them
            self.failure = error
        is_clear = isinstance(self.failure, XnasError)
        failed = {"failed": str(self.failure) if is_clear else describe(self.failure)}
        self._waiting, self._meetings = [], {}
        return [(request, failed, b"") for request in everyone]

    async def _something(self) -> None:
        """Waits for a request, or for one that has waited long enough."""
        held = [*self._waiting, *(requests[0] for requests in self._meetings.values())]
        times = [request.deadline - self._loop.time() for request in held]
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, min(times)) if times else None)
        self._wake.clear()

    def _take(self, request: _Request) -> list[Reply]:
        message, reply, data = request.message, {}, b""
        match message.get("do"):
            case "next":
                if told := message["told"]:
                    self._desk.tell(*told)
                self._waiting.append(request)
                return []
            case "meet":
                self._meetings.setdefault(message["name"], []).append(request)
                return []
            case "known":
                reply["known"] = self._desk.known(message["id"], message["outcome"])
            case "wants_model":
                reply["wants"] = self._desk.wants_model(message["id"], message["outcome"])
            case "keep_model":
                self._desk.keep_model(message["id"], request.data)
            case "keep_checkpoint":
                self._desk.keep_checkpoint(message["id"], request.data)
            case "checkpoint":
                data = self._desk.checkpoint(message["id"])
            case "tell":
                self._desk.tell(message["id"], message["outcome"])
            case "hello":
                pass
            case "lost" | "left" as how:
                self._note_departure(message["rank"], is_death=how == "lost")
            case other:
                reply["failed"] = f"unknown request {other!r}"
        return [(request, reply, data)]

    def _note_departure(self, rank: int, is_death: bool) -> None:
        """Those that go later may do so because of the first."""
        if not self._gone and not self._desk.is_over and not self._desk.stopping():
            self._gone = {"failed": f"rank {rank} is gone"}
            if is_death:
                self._desk.lost(rank)

    def _serve_waiting(self) -> Iterator[Reply]:
        """Tasks for those in line as long as there are some; then patience, or the end.

        After a rank has gone there are none: what it was doing would never end. Those that are
        at work can still tell how it went.
        """
        now, waiting, self._waiting = self._loop.time(), self._waiting, []
        task: dict[str, Any] | None = {}
        for request in waiting:
            if self._gone:
                yield request, self._gone, b""
                continue
            task = self._desk.next(request.message["group"]) if task is not None else None
            if task is not None:
                yield request, {"task": task}, b""
            elif self._desk.is_over:
                yield request, {"over": True}, b""
            elif request.deadline <= now:
                yield request, {"wait": True}, b""
            else:
                self._waiting.append(request)

    def _hold_meetings(self) -> Iterator[Reply]:
        """Tells those who meet that all have come, or that they waited long enough."""
        for name, requests in list(self._meetings.items()):
            met = len(requests) >= requests[0].message["count"]
            if met or requests[0].deadline <= self._loop.time():
                del self._meetings[name]
                reply = {"met": met} if met or not self._gone else self._gone
                yield from ((request, reply, b"") for request in requests)


def framed(message: dict[str, Any], data: bytes) -> list[bytes]:
    """The contents of the frames that carry a message, and data after it if there is any."""
    pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
    return [json.dumps({**message, "data": len(pieces)}).encode(), *pieces]
