"""Keeps standard output and error working with any encoding and with closed pipes."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any

SIGNS = {"↓": "v", "↑": "^", "×": "x", "±": "~", "–": "-", "…": ".", "≥": ">", "≤": "<"}
"""ASCII replacements, of the same width, for the symbols in tables."""
_ERRORS = "xnas_tf.output"


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace a character that an encoding lacks with an ASCII symbol or an escape sequence."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if character in SIGNS:
        return SIGNS[character], error.start + 1
    one = UnicodeEncodeError(
        error.encoding, error.object, error.start, error.start + 1, error.reason
    )
    return codecs.backslashreplace_errors(one)


codecs.register_error(_ERRORS, _substitute)


class _Descriptor(io.FileIO):
    """A file descriptor that drops output once its reader is gone, as in ``| head``.

    Errors other than a closed pipe are raised once; later output is then dropped as well.
    """

    _is_lost = False

    def write(self, data: Any) -> int:
        """See ``io.FileIO.write``."""
        if len(data) and not self._is_lost:  # click writes empty data to test whether it can write
            try:
                return super().write(data)
            except OSError as error:
                self._is_lost = True
                if not isinstance(error, BrokenPipeError):
                    raise
        return memoryview(data).nbytes


def make_output_robust() -> None:
    """Let this process print any text to standard output and error, even if they are closed."""
    _open_closed_streams()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        buffer = getattr(stream, "buffer", None)
        if type(getattr(buffer, "raw", buffer)) is not io.FileIO:
            continue  # the stream of a notebook or a test, or already replaced
        stream.flush()
        descriptor = _Descriptor(stream.fileno(), "w", closefd=False)
        is_buffered = isinstance(buffer, io.BufferedWriter)  # not with PYTHONUNBUFFERED
        robust = io.TextIOWrapper(
            io.BufferedWriter(descriptor) if is_buffered else descriptor,  # type: ignore[type-var]
            encoding=stream.encoding,
            errors=_ERRORS,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, robust)


def _open_closed_streams() -> None:
    """Discard output to streams that were closed when the process started, as by ``2>&-``.

    Otherwise, a file such as a run's database would get a stream's descriptor number, and
    TensorFlow would write its log into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
