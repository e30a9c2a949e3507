"""What ranks ask the coordinator while they evaluate, through a Ray actor: nothing of ours
listens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

Question = tuple[int, str, tuple[Any, ...]]
"""Its number, the name of a method of the coordinator, and the arguments."""


class Mailbox:
    """Holds questions until the driver answers them. Heartbeats wait for nobody.

    Ray runs it on the driver's node; its methods run in one thread.
    """

    def __init__(self) -> None:
        self._asked: list[Question] = []
        self._open: dict[int, asyncio.Future] = {}
        self._count = 0
        self._arrived = asyncio.Event()
        self._beats: dict[int, float] = {}
        self._code = 0

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Returns the coordinator's answer to a rank."""
        self._count += 1
        future = self._open[self._count] = asyncio.get_running_loop().create_future()
        self._asked.append((self._count, method, arguments))
        self._arrived.set()
        return await future

    async def beat(self, group: int) -> int:
        """Notes that a group makes progress; returns the exit code to leave with, or 0."""
        self._beats[group] = time.monotonic()
        return self._code

    async def questions(self, seconds: float) -> tuple[list[Question], dict[int, float]]:
        """Returns what was asked, after so many seconds at the latest, and how many seconds ago
        each group made progress."""
        try:
            await asyncio.wait_for(self._arrived.wait(), seconds)
        except (TimeoutError, asyncio.TimeoutError):
            pass
        self._arrived.clear()
        asked, self._asked = self._asked, []
        now = time.monotonic()
        return asked, {group: now - last for group, last in self._beats.items()}

    async def answer(self, answers: dict[int, Any]) -> None:
        """Gives ranks their answers; one that died doesn't wait any more."""
        for number, value in answers.items():
            future = self._open.pop(number, None)
            if future and not future.done():
                future.set_result(value)

    async def stop(self, code: int) -> None:
        """Lets every group leave with an exit code."""
        self._code = code
