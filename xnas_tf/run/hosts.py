"""The hosts that ranks run on, and which of them can be reached."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from xnas_tf.distributed.address import interface_towards
from xnas_tf.errors import InputError, RunError

ANSWER_SECONDS = 10
"""Seconds that a host may take to let us in."""
ALIVE_SECONDS = 10
"""Seconds between questions to a host whether it is there; after three without an answer it
is not."""


@dataclass
class Hosts:
    """Hosts with the ranks that each may run.

    Args:
        slots: Ranks by host, as in ``-H``; empty for this host alone.
        ranks: Ranks wanted.
        least: Ranks that will do if hosts are lost.
        group: What the number of ranks must be a multiple of.
        options: More options for horovodrun.
        ssh: Options with which hosts are reached, as horovodrun does.
        say: Tells the user something.
    """

    slots: dict[str, int]
    ranks: int
    least: int
    group: int
    options: Sequence[str]
    ssh: Sequence[str]
    say: Callable[[str], None]
    _lost: set[str] = field(default_factory=set)

    def __call__(self) -> tuple[int, Sequence[str]]:
        """The ranks to start, and horovodrun's options.

        Raises:
            RunError: If too few hosts can be reached.
        """
        if not self.slots:
            return self.ranks, self.options
        there = self._reachable()
        number = min(self.ranks, sum(there.values()))
        number -= number % self.group
        if number < self.least:
            raise RunError(
                f"hosts that cannot be reached by ssh: {', '.join(sorted(self._lost))}; the "
                f"others have {sum(there.values())} slots, and {self.least} ranks are needed "
                "(--min-np)"
            )
        listed = ",".join(f"{host}:{count}" for host, count in there.items())
        # horovodrun remembers for an hour that a host could be reached.
        words = ["-H", listed, "--disable-cache", *self.options]
        return number, [*words, *self._interface(list(there))]

    def _interface(self, hosts: list[str]) -> list[str]:
        """The interface towards a single host that is not this one: horovodrun looks for one on
        which the hosts reach each other, and may then take that host's loopback (seen)."""
        if len(hosts) > 1 or hosts[0] in _own_names() or "--network-interface" in self.options:
            return []
        name = interface_towards(hosts[0])
        return ["--network-interface", name] if name else []

    def _reachable(self) -> dict[str, int]:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(self._answers, self.slots))
        lost = {host for host, answer in zip(self.slots, answers, strict=True) if not answer}
        for host in sorted(lost - self._lost):
            self.say(f"host {host} cannot be reached by ssh; going on without it if we may")
        self._lost = lost
        return {host: count for host, count in self.slots.items() if host not in lost}

    def _answers(self, host: str) -> bool:
        if host in _own_names():
            return True
        # As horovodrun does it, except that nobody is asked for a password.
        words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
        words += [*self.ssh, "-o", f"ConnectTimeout={ANSWER_SECONDS}", host, "true"]
        try:
            done = subprocess.run(words, capture_output=True, timeout=2 * ANSWER_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def chosen_hosts(
    hosts: str | None,
    ranks: int,
    min_np: int | None,
    group: int,
    say: Callable[[str], None],
    network_interface: str | None = None,
    ssh_port: int | None = None,
    ssh_identity_file: str | None = None,
) -> Hosts:
    """The hosts that the options of ``xnas-tf launch`` ask for; see there and ``Hosts``.

    Raises:
        InputError: If one of them is wrong.
    """
    if min_np and min_np > ranks:
        raise InputError(f"--min-np: given {min_np}; allowed: 1 to {ranks}, as -np says")
    given = {
        "--network-interface": network_interface,
        "--ssh-port": ssh_port,
        "--ssh-identity-file": ssh_identity_file,
    }
    return Hosts(
        parse_hosts(hosts, ranks),
        ranks,
        min_np or ranks,
        group,
        _words(given),
        ssh_words(ssh_port, ssh_identity_file),
        say,
    )


def parse_hosts(text: str | None, ranks: int) -> dict[str, int]:
    """Reads ``HOST:SLOTS,…``.

    Raises:
        InputError: If it is of another form, or has fewer slots than ranks are wanted.
    """
    slots: dict[str, int] = {}
    for part in (text or "").split(",") if text else ():
        host, _, count = part.strip().rpartition(":")
        if not host or not count.isdigit() or int(count) < 1 or host in slots:
            raise InputError(f"-H {text}: given {part!r}; allowed: HOST:SLOTS,… , each host once")
        slots[host] = int(count)
    if slots and sum(slots.values()) < ranks:
        raise InputError(
            f"-H {text} has {sum(slots.values())} slots, but -np asks for {ranks} ranks"
        )
    return slots


def ssh_words(port: int | None, identity: str | None) -> list[str]:
    """ssh's options for a port and a key.

    Raises:
        InputError: If the key's path is one that horovodrun, which does not quote it, would
            hand to a shell as several words.
    """
    if identity and shlex.quote(identity) != identity:
        raise InputError(
            f"--ssh-identity-file {identity!r}: horovodrun cannot use a path with such characters"
        )
    return _words({"-p": port, "-i": identity})


def _words(options: Mapping[str, object]) -> list[str]:
    """The options that are given, as words of a command line."""
    return [str(word) for name, value in options.items() if value for word in (name, value)]


@contextmanager
def watchful_ssh() -> Iterator[dict[str, str]]:
    """An environment whose ``ssh`` notices a host that falls silent.

    horovodrun's own connections don't: after a power cut it was still waiting when watched
    for 70 s, and ended after 11 s with such options (measured with 3 s three times).
    """
    program = shutil.which("ssh")
    if not program:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory(prefix="xnas-tf-") as folder:
        wrapper = Path(folder) / "ssh"
        options = f"-o ServerAliveInterval={ALIVE_SECONDS} -o ServerAliveCountMax=3"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(program)} {options} "$@"\n')
        wrapper.chmod(0o700)
        yield {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _own_names() -> set[str]:
    addresses = [a.address for nic in psutil.net_if_addrs().values() for a in nic]
    return {"localhost", socket.gethostname(), socket.getfqdn(), *addresses}
