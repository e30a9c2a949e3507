"""Authenticated messages over a socket: JSON, or bytes, never pickle.

Both ends hold a secret key. The server sends a nonce, the client answers with one of its own,
and from then on every frame carries an HMAC (RFC 2104, SHA-256) over its direction, its place
in the conversation and its content, so that nothing can be forged, changed, repeated or
played back into another conversation. Nothing that is not authenticated is looked at.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

NONCE = 32
HEADER = struct.Struct(">I32s")
"""Length of the content, and its HMAC."""
FIRST_LIMIT = 1 << 16
"""Bytes of a conversation's first frame, at most: it comes from nobody knows whom yet."""
PIECE = 1 << 26
"""Bytes of a later frame, at most; more are sent in pieces."""


class WireError(ConnectionError):
    """The other end is gone, or is not who it should be."""


class Seal:
    """One end of a conversation: seals what it sends and checks what it receives.

    Args:
        key: The secret that both ends hold.
        nonces: The server's and the client's nonce, one after the other.
        is_server: Which end this is.
    """

    def __init__(self, key: bytes, nonces: bytes, is_server: bool) -> None:
        self._key = hmac.digest(key, b"xnas-tf queue 1" + nonces, hashlib.sha256)
        self._out, self._in = (b"S", b"C") if is_server else (b"C", b"S")
        self._sent = self._received = 0

    def header(self, content: bytes) -> bytes:
        """What goes before the next content that is sent."""
        code = self._code(self._out, self._sent, content)
        self._sent += 1
        return HEADER.pack(len(content), code)

    def length(self, header: bytes) -> int:
        """Length of the content that follows a received header.

        Raises:
            WireError: If it is longer than allowed.
        """
        length, _ = HEADER.unpack(header)
        if length > (PIECE if self._received else FIRST_LIMIT):
            raise WireError(f"a frame of {length} bytes is too long")
        return length

    def check(self, header: bytes, content: bytes) -> bytes:
        """Returns received content once it has proved authentic.

        Raises:
            WireError: If it has not.
        """
        _, code = HEADER.unpack(header)
        if not hmac.compare_digest(code, self._code(self._in, self._received, content)):
            raise WireError("a frame is not authentic")
        self._received += 1
        return content

    def _code(self, direction: bytes, number: int, content: bytes) -> bytes:
        code = hmac.new(self._key, direction + number.to_bytes(8, "big"), hashlib.sha256)
        code.update(content)
        return code.digest()
