"""Talking to horovodrun: starting it, telling its ranks to leave, hearing who died first."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from xnas_tf.distributed.start import HOW_TO_BUILD
from xnas_tf.errors import InputError
from xnas_tf.run.deaths import Death

LEAVE_SECONDS = 22.0
"""Seconds that ranks may take to save and leave; they themselves stop after 20."""
_OF_A_RANK = re.compile(r"\[\d+\]<std(out|err)>:")
_NAME, _CODE = re.compile(r"Process name: (\d+)"), re.compile(r"Exit code: (-?\d+)")


def horovodrun() -> str:
    """The program beside this Python, else on the PATH.

    Raises:
        InputError: If there is none.
    """
    beside = Path(sys.executable).with_name("horovodrun")
    found = str(beside) if beside.is_file() else shutil.which("horovodrun")
    if not found:
        raise InputError(f"Horovod is not installed: {HOW_TO_BUILD}")
    return found


def start_job(
    ranks: int,
    options: Sequence[str],
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen:
    """Starts ``xnas-tf COMMAND`` on so many ranks.

    Args:
        ranks: How many.
        options: More options for horovodrun.
        command: The words after ``xnas-tf``.
        environment: The environment of horovodrun; this process's if None.

    Returns:
        horovodrun, running; read ``stderr`` with ``own_words``.

    Raises:
        InputError: If Horovod is not installed.
    """
    # Without --gloo it imports TensorFlow once more to see whether MPI is there, 3 s.
    words = [horovodrun(), "--gloo", "-np", str(ranks), *options]
    return subprocess.Popen(
        [*words, sys.executable, "-m", "xnas_tf", *command],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # In a session of its own, Ctrl-C reaches it through us alone.
        start_new_session=True,
    )


def own_words(lines: Iterator[str]) -> list[str]:
    """Passes on what the ranks say until the job ends; returns the last lines of what
    horovodrun itself says."""
    own: deque[str] = deque(maxlen=40)
    for line in lines:
        if _OF_A_RANK.match(line):
            sys.stderr.write(line)
            sys.stderr.flush()
        else:
            own.append(line)
    return list(own)


def first_death(lines: Sequence[str]) -> Death | None:
    """Which rank ended first with an error, by what horovodrun says in the end."""
    text = "".join(lines)
    names, codes = _NAME.findall(text), _CODE.findall(text)
    return Death(int(names[-1]), int(codes[-1])) if names and codes else None


def stop_job(job: subprocess.Popen) -> None:
    """Lets a job save and leave.

    horovodrun gives its ranks five seconds, none at all where /bin/sh is bash (they get
    SIGSTOP), and does not tell those on other hosts. So the ranks of this host are told
    first, in their own time; rank 0 tells the leaders, wherever they are. Where no rank is on
    this host they notice when horovodrun's connections end.
    """
    with suppress(psutil.Error):
        family = psutil.Process(job.pid).children(recursive=True)
        ranks = [process for process in family if _is_rank(process)]
        for rank in ranks:
            with suppress(psutil.Error):
                rank.terminate()
        psutil.wait_procs(ranks, timeout=LEAVE_SECONDS)
    with suppress(OSError):
        job.terminate()


def _is_rank(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "HOROVOD_RANK" in process.environ() and process.name() not in ("sh", "bash", "dash")
    return False
