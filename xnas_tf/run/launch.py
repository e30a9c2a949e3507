"""Runs a search under horovodrun, and starts it again with what is left when a rank dies."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnas_tf.config import load_config
from xnas_tf.errors import HeldError, InputError, RunError
from xnas_tf.run.deaths import Death, blame
from xnas_tf.run.directory import CONFIG, Run, locked, now
from xnas_tf.run.group_size import wanted_size
from xnas_tf.run.horovodrun import LEAVE_SECONDS, first_death, own_words, start_job, stop_job
from xnas_tf.run.hosts import chosen_hosts, watchful_ssh
from xnas_tf.run.reached import reached
from xnas_tf.run.search import default_run_dir

HOST_PAUSE = 20.0
"""Seconds between two questions whether they can be reached again."""
FRUITLESS_STARTS = 5
"""Starts in a row that reach nothing, after which it is of no use to go on. One alone proves
little: what kills a rank may strike twice before the first candidate has ended."""
HOST_SECONDS = 300.0
"""Seconds to wait, before a restart, for hosts that cannot be reached: they may be booting."""
SUSPICIOUS_STARTS = 2
"""Starts in a row that reach nothing, from which on the candidate that was trained is suspected
of ending its process itself. A second such start fails it, well before there are too many."""
FIRST_PAUSE = 1.0
"""Seconds before a start, doubled for each start in a row that reached nothing."""


def launch(
    command: Sequence[str],
    options: Mapping[str, Any],
    ranks: int,
    hosts: str | None = None,
    min_np: int | None = None,
    restarts: int = 20,
    network_interface: str | None = None,
    ssh_port: int | None = None,
    ssh_identity_file: str | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Runs a search under horovodrun, as often as it takes.

    Args:
        command: The words after ``xnas-tf``: ``search`` and its arguments.
        options: What they mean: config, run_dir and overrides.
        ranks: Ranks to start.
        hosts: ``HOST:SLOTS,…``; this host alone if None. The first one keeps the record, and
            this must be called there or where its file system is seen.
        min_np: Ranks to go on with when hosts are lost; ``ranks`` if None.
        restarts: How often to start again, at most.
        network_interface: As horovodrun's; ``ssh_port`` and ``ssh_identity_file`` likewise.
        say: Tells the user something.

    Returns:
        The exit code; see ``Launch``.

    Raises:
        InputError: If anything given is wrong; nothing was started then.
        RunError: If the search died and it is of no use to start again.
    """
    config = load_config(options["config"], options["overrides"])
    size = config.distributed.ranks_per_candidate
    wanted_size(size, ranks)
    chosen = chosen_hosts(
        hosts,
        ranks,
        min_np,
        size if isinstance(size, int) else 1,
        say,
        network_interface,
        ssh_port,
        ssh_identity_file,
    )
    run = Path(options["run_dir"] or default_run_dir(options["config"]))
    with watchful_ssh() as environment:
        return Launch(command, run, chosen, restarts, say, environment)()


class _Stopped(Exception):
    """A signal told this process to leave; ``Launch._signal`` says which one."""


@dataclass
class Launch:
    """One search, started as often as it takes.

    Args:
        command: The words after ``xnas-tf``: ``search`` and its arguments.
        run: The run directory that they name.
        ranks: Chooses the ranks of a start: the number, and horovodrun's options. Raises
            ``RunError`` where too few hosts are left.
        restarts: How often to start again, at most.
        say: Tells the user something.
        environment: The environment of horovodrun.
    """

    command: Sequence[str]
    run: Path
    ranks: Callable[[], tuple[int, Sequence[str]]]
    restarts: int
    say: Callable[[str], None]
    environment: Mapping[str, str] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _signal: int = 0
    _process: subprocess.Popen | None = None

    def __call__(self) -> int:
        """Runs the search to its end.

        Returns:
            The exit code: 0, 1 if the search ended with nothing to recommend or could not
            finish, 2 if it found its input wrong, 130 or 143 after SIGINT or SIGTERM.

        Raises:
            HeldError: If another search holds the run; nothing was started then.
            RunError: If it died and it is of no use to start again.
        """
        try:
            with self._listening():
                return self._search()
        except _Stopped:
            return 128 + self._signal

    def _search(self) -> int:
        if not self._is_free():
            raise HeldError(self.run)
        command, fruitless = list(self.command), 0
        for attempt in itertools.count():
            # A run that is about to be moved aside is none of ours.
            before = None if "--fresh" in command else reached(self.run)
            folder, begin = self._folder(), now()
            ranks = self._ranks(HOST_SECONDS if attempt else 0.0)
            code, death = self._start(*ranks, command)
            if self._is_over(code, death):
                return death.code if death else 0
            if self._folder() != folder:  # the old run was moved aside, or there was none
                command = [word for word in command if word != "--fresh"]
            self._is_free()
            after = None if "--fresh" in command else reached(self.run)
            fruitless = 0 if after and after.is_beyond(before) else fruitless + 1
            if death and after:
                has_noted = after.deaths > (before.deaths if before else 0)
                fruitless = self._note(death, begin, fruitless, has_noted)
            self._check(death, attempt, fruitless)
            pause = FIRST_PAUSE * 2**fruitless
            self.say(f"{death or 'the job ended'}; starting again in {pause:.0f} s")
            self._wait(pause)

    def _folder(self) -> int | None:
        """Tells one run directory from another one of the same name."""
        return self.run.stat().st_ino if self.run.is_dir() else None

    def _ranks(self, seconds: float) -> tuple[int, Sequence[str]]:
        """The ranks of a start and horovodrun's options; so long hosts are waited for."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.ranks()
            except RunError as error:
                if time.monotonic() >= end:
                    raise
                self.say(f"{error}; asking them again in {HOST_PAUSE:.0f} s")
                self._wait(HOST_PAUSE)

    def _start(
        self, number: int, options: Sequence[str], command: Sequence[str]
    ) -> tuple[int, Death | None]:
        """Runs horovodrun once; returns its exit code and who died first."""
        with start_job(number, options, command, self.environment) as self._process:
            if self._signal:  # it came just before
                self._process.terminate()
            own = own_words(self._process.stderr)
        code, self._process = self._process.returncode, None
        self._wait(0.0)
        death = first_death(own)
        if code and not death:
            sys.stderr.writelines(own)
        return code, death

    def _note(self, death: Death, begin: str, fruitless: int, has_noted: bool) -> int:
        """Records a death with the candidate that may have caused it, unless rank 0 has.

        Returns:
            The starts in a row that reached nothing. That something killed a rank is something
            that was learnt; a suspicion is not, or a broken network would fail one candidate
            after the other.
        """
        if death.is_violent and not death.is_consequence:
            return 0 if has_noted or self._blame(death, begin) else fruitless
        if death.is_suspicious and SUSPICIOUS_STARTS <= fruitless < FRUITLESS_STARTS:
            self._blame(death, begin)
        return fruitless

    def _blame(self, death: Death, begin: str) -> bool:
        """Notes a death with what the rank's group was training, if that can be told."""
        with suppress(HeldError):
            if candidate := blame(self.run, death, begin):
                self.say(f"{death} while candidate {candidate.id} was trained")
                return True
        return False

    def _is_over(self, code: int, death: Death | None) -> bool:
        """Whether another start is of no use. Code that ends its process with 0 is not done."""
        if code == 0:
            return self._has_ended() or not reached(self.run)
        return death is not None and death.is_final(self._has_ended())

    def _has_ended(self) -> bool:
        with suppress(InputError):
            return bool(Run(self.run).fact("ended"))
        return False

    def _is_free(self) -> bool:
        """Waits for whoever holds the run, such as a rank 0 on another host that has not
        noticed yet that its job has ended; returns whether that has left."""
        end = time.monotonic() + LEAVE_SECONDS
        for attempt in itertools.count():
            if not (self.run / CONFIG).is_file():
                return True
            try:
                with locked(self.run):
                    return True
            except HeldError as error:
                if time.monotonic() > end:
                    return False
                if not attempt:
                    self.say(f"{error}; waiting for it to leave")
            self._wait(0.1)

    def _check(self, death: Death | None, attempt: int, fruitless: int) -> None:
        what = str(death) if death else "the job ended"
        if attempt == self.restarts:
            raise RunError(
                f"{what}, and it was started {attempt + 1} times (--restarts "
                f"{self.restarts}). What is finished is recorded in {self.run}; the same "
                "command goes on from there"
            )
        if fruitless == FRUITLESS_STARTS:
            raise RunError(
                f"{what}, and the last {fruitless} starts reached nothing: starting again would "
                f"be of no use. What is finished is recorded in {self.run}"
            )

    def _wait(self, seconds: float) -> None:
        """Waits, unless a signal came or comes.

        Raises:
            _Stopped: Then.
        """
        if self._stop.wait(seconds):
            raise _Stopped

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Passes SIGINT and SIGTERM on to the ranks."""

        def hear(number: int, _: object) -> None:
            asked_twice, self._signal = self._stop.is_set(), number
            self._stop.set()
            if self._process and asked_twice:
                self._process.kill()  # its ranks end with it
            elif self._process:
                threading.Thread(target=stop_job, args=(self._process,), daemon=True).start()

        before = {n: signal.signal(n, hear) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
