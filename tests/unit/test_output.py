"""What a command prints arrives, whatever the terminal's encoding is and whoever reads it."""

import functools
import io
import os
import subprocess
import sys

import pytest

from xnas_tf.cli import output
from xnas_tf.cli.output import SIGNS, make_output_robust


@pytest.fixture(params=["buffered", "PYTHONUNBUFFERED"])
def robust(request, monkeypatch):
    """Makes standard output of an encoding, to a descriptor, and makes it robust."""
    return functools.partial(make, monkeypatch, request.param == "buffered")


def make(monkeypatch, is_buffered, encoding, descriptor):
    buffer = io.FileIO(descriptor, "w", closefd=False)
    if is_buffered:
        buffer = io.BufferedWriter(buffer)
    stream = io.TextIOWrapper(buffer, encoding, write_through=not is_buffered)
    monkeypatch.setattr(output.sys, "stdout", stream)
    make_output_robust()
    assert output.sys.stdout is not stream
    return output.sys.stdout


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "error v \\xe9 \\u732b \\udce9"),
        ("latin-1", "error v é \\u732b \\udce9"),
        ("utf-8", "error ↓ é 猫 \\udce9"),
    ],
)
def test_any_text_can_be_printed(robust, tmp_path, encoding, printed):
    file = tmp_path / "out"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    stream = robust(encoding, descriptor)
    print("error ↓ é 猫 \udce9", file=stream)
    stream.flush()
    assert file.read_bytes().decode(encoding) == f"{printed}\n"


def test_signs_keep_their_width():
    assert {len(sign) for sign in [*SIGNS, *SIGNS.values()]} == {1}
    assert all(sign.isascii() for sign in SIGNS.values())


def test_a_reader_that_is_gone_is_no_error(robust):
    reader, writer = os.pipe()
    os.close(reader)
    stream = robust("utf-8", writer)
    print("x" * 100_000, file=stream)
    stream.flush()
    os.close(writer)


def test_other_errors_of_output_are_reported_once(robust):
    stream = robust("utf-8", os.open("/dev/full", os.O_WRONLY))
    stream.buffer.write(b"")  # as click does, to find out if bytes can be written
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - by one of the two
        print("x", file=stream)
        stream.flush()
    print("y", file=stream)
    stream.flush()


def test_streams_that_are_no_files_stay_as_they_are(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(output.sys, "stdout", stream)
    make_output_robust()
    assert output.sys.stdout is stream


CLOSED = """
import os, sys
from xnas_tf.cli.output import make_output_robust
from xnas_tf.utils.quiet_stderr import silenced_native_code
os.close(2)
sys.stderr = None  # as after 2>&-
with silenced_native_code():
    pass
make_output_robust()
print("lost", file=sys.stderr, flush=True)
assert open(sys.argv[1]).fileno() > 2
"""


def test_no_file_takes_the_place_of_a_closed_stream():
    subprocess.run([sys.executable, "-c", CLOSED, __file__], check=True)
