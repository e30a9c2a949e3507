"""Runs ``xnas-tf`` in processes forked from one that has imported TensorFlow, which takes 5 s.

Each is a process of its own with its own environment, folder, streams and signals, as a shell would
start it. What a shell's start differs in, Python's own start and end, other tests run for real.
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.e2e.preloaded"])


def _main(words, folder, variables, streams, limit):
    for number, path in enumerate(streams, 1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (
        open(number, "w", buffering=1, closefd=False)  # noqa: SIM115 - they last as long as it
        for number in (1, 2)
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from xnas_tf.cli import main

    sys.argv = ["xnas-tf", *words]
    try:
        main(prog_name="xnas-tf")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class Command:
    """A command that is running; the part of ``subprocess.Popen`` that tests need.

    Args:
        words: After ``xnas-tf``.
        folder: Where it runs.
        variables: Its environment.
        streams: Paths of stdout and stderr, files or pipes with a name.
        limit: Bytes of the largest file it may write.
    """

    def __init__(self, words, folder, variables, streams, limit=None):
        given = [str(word) for word in words], str(folder), dict(variables)
        self.stderr = None
        self._process = _context.Process(target=_main, args=(*given, streams, limit), daemon=True)
        self._process.start()
        self.pid = self._process.pid

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("xnas-tf", timeout)
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    @property
    def returncode(self):
        return self._process.exitcode

    def communicate(self, timeout=None):
        """Reads what is left of ``stderr`` and waits."""
        with self.stderr:
            rest = self.stderr.read()
        self.wait(timeout)
        return "", rest

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()

    def terminate(self):
        self._process.terminate()


def run(words, folder, variables, timeout=540, limit=None):
    """Runs a command to its end, as ``subprocess.run`` does."""
    with tempfile.TemporaryDirectory() as place:
        streams = [str(Path(place) / name) for name in ("stdout", "stderr")]
        command = Command(words, folder, variables, streams, limit)
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
        out, err = (Path(path).read_text() for path in streams)
    return subprocess.CompletedProcess(words, code, out, err)


def start(words, folder, variables):
    """Starts a command whose ``stderr`` can be read while it runs."""
    place = tempfile.mkdtemp()
    pipe = os.path.join(place, "stderr")
    os.mkfifo(pipe)
    command = Command(words, folder, variables, [os.devnull, pipe])
    command.stderr = open(pipe)  # noqa: SIM115 - as long as the command
    return command
