"""Who gets in to the work queue: those that prove that they know the key, one by one."""

from __future__ import annotations

import asyncio
import resource
import secrets
import socket
from contextlib import suppress

import psutil

from xnas_tf.distributed.wire import HEADER, NONCE, Seal
from xnas_tf.errors import RunError

PATIENCE = 10.0
"""Seconds that an unknown client may take to prove who it is."""
STRANGERS = 1024
"""Clients that may be proving it at the same time, at most; one more, and the oldest is hung
up on."""
FEWEST_STRANGERS = 16
"""With fewer, ranks that come at the same time would hang up on each other too often."""
AT_ONCE = 16
"""Connections accepted before those that came earlier are looked at: asyncio takes as many as
it finds, up to the backlog, and each is an open file before anybody can be hung up on."""
PASSES = 8
"""Times that so many may be accepted before the file of who is hung up on is closed: asyncio needs
some six passes of its loop from the one to the other."""
BACKLOG = 4096
"""Connections that the system keeps in line meanwhile: all ranks come at once."""
OWN_FILES = 256
"""Files that rank 0 opens later on, for the record, models and data."""


class Door:
    """Finds out who clients are.

    Args:
        key: The secret that proves it.
        ranks: Ranks that will come.

    Raises:
        RunError: If this process may not open enough files for them.
    """

    def __init__(self, key: bytes, ranks: int) -> None:
        self._key = key
        self._limit = allowed_strangers(ranks)
        self._strangers: dict[asyncio.StreamWriter, None] = {}

    async def welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Seal, bytes]:
        """Finds out who it is, of so many at the same time that files can still be opened.

        Who knows the key proves it at once, so that the oldest stranger is none of ours.

        Returns:
            The seal of the conversation, and the first message.

        Raises:
            OSError, EOFError, TimeoutError: If it does not know the key.
        """
        if len(self._strangers) >= self._limit:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.transport.abort()
        self._strangers[writer] = None
        try:
            known = await asyncio.wait_for(self._greet(reader, writer), PATIENCE)
        finally:
            self._strangers.pop(writer, None)
        if writer.transport.is_closing():  # it proved it in the moment in which it was hung up on
            raise ConnectionError("hung up on")
        return known

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Seal, bytes]:
        """Exchanges nonces; the first content proves the client."""
        nonce = secrets.token_bytes(NONCE)
        writer.write(nonce)
        seal = Seal(self._key, nonce + await reader.readexactly(NONCE), is_server=True)
        return seal, await receive(seal, reader)


async def listen(converse, host: str) -> asyncio.Server:
    """Serves ``converse(reader, writer)`` on a free port of an address."""
    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.bind(address)
        server = await asyncio.start_server(converse, sock=listener, backlog=AT_ONCE)
    except OSError:
        listener.close()
        raise
    listener.listen(BACKLOG)  # asyncio has one number for both
    return server


async def receive(seal: Seal, reader: asyncio.StreamReader) -> bytes:
    """The content of the next frame."""
    header = await reader.readexactly(HEADER.size)
    return seal.check(header, await reader.readexactly(seal.length(header)))


def allowed_strangers(ranks: int) -> int:
    """Unknown clients at the same time for which there are files, besides all that a search
    with so many ranks opens.

    Raises:
        RunError: If there are too few.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # 1,024 is a common soft limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A rank holds a connection to the queue, and one for Horovod in its group.
    taken = psutil.Process().num_fds() + 2 * ranks + OWN_FILES + PASSES * AT_ONCE
    if limit != resource.RLIM_INFINITY and limit - taken < FEWEST_STRANGERS:
        raise RunError(
            f"rank 0 may open {limit} files; {ranks} ranks need {taken + FEWEST_STRANGERS}: "
            "raise the limit (ulimit -n; LimitNOFILE in systemd)"
        )
    return STRANGERS if limit == resource.RLIM_INFINITY else min(STRANGERS, limit - taken)
