"""The mailbox: a Ray actor that forwards the ranks' questions for the coordinator to the driver."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

Question = tuple[int, str, tuple[Any, ...]]
"""The number of the question, the name of a method of the coordinator, and the arguments."""


class Mailbox:
    """Questions that wait for the driver's answers; heartbeats are answered immediately.

    The mailbox runs on the driver's node, and its methods run in a single thread.
    """

    def __init__(self) -> None:
        self._questions: list[Question] = []
        self._futures: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self._arrived = asyncio.Event()
        self._beats: dict[int, float] = {}
        self._exit_code = 0

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Return the coordinator's answer to a rank's question."""
        self._count += 1
        future = self._futures[self._count] = asyncio.get_running_loop().create_future()
        self._questions.append((self._count, method, arguments))
        self._arrived.set()
        return await future

    async def report_progress(self, group: int) -> int:
        """Record that a group is making progress; return its exit code if it must stop, else 0."""
        self._beats[group] = time.monotonic()
        return self._exit_code

    async def questions(self, seconds: float) -> tuple[list[Question], dict[int, float]]:
        """Wait up to the given number of seconds for questions asked since the last call.

        Also returns the seconds since each group last made progress.
        """
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), seconds)
        self._arrived.clear()
        questions, self._questions = self._questions, []
        now = time.monotonic()
        return questions, {group: now - last for group, last in self._beats.items()}

    async def answer(self, answers: dict[int, Any]) -> None:
        """Send answers, keyed by question number, to the ranks that are still waiting for them."""
        for number, value in answers.items():
            future = self._futures.pop(number, None)
            if future and not future.done():
                future.set_result(value)

    async def stop(self, code: int) -> None:
        """Ask every group to stop with an exit code."""
        self._exit_code = code
