"""Two hosts on one machine: network, PID, host name and mount namespaces, and an sshd in each.

A third namespace, the head, holds the bridge between them and is where horovodrun is started,
so that every rank is started through ssh. Nothing here can reach the machine's own network.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import BIN, ROOT, environment

NAMES = ("hosta", "hostb")
ADDRESSES = {"head": "10.0.0.1", "hosta": "10.0.0.2", "hostb": "10.0.0.3"}
INTERFACE = "net0"
"""What each host and the head call their network interface: Horovod wants one name for all."""
PORT = 2222
START = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount"]
"""New namespaces, which end with pytest even if it is killed."""

HEAD = """set -e
hostname head
mount --bind hosts /etc/hosts
ip link set lo up
ip link add {interface} type bridge
ip address add {address}/24 dev {interface}
ip link set {interface} up
echo ready
exec sleep infinity
"""
HOST = """set -e
hostname {name}
mount --bind hosts /etc/hosts
mount --bind shadow /etc/shadow
mount -t tmpfs none /run
mkdir /run/sshd
ip link set lo up
echo ready
exec {sshd} -D -f {folder}/sshd_config -E {folder}/{name}.log
"""
SSHD = """Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
"""
# -F keeps the user's own configuration out.
SSH = """#!/bin/sh
exec {ssh} -F none -o UserKnownHostsFile={folder}/known_hosts -o LogLevel=ERROR "$@"
"""


class TwoHosts:
    """Two running hosts and the head that starts jobs on them.

    Args:
        folder: Holds keys and settings; the hosts see all the machine's files.
    """

    names = NAMES

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment()
        # Every machine needs xnas_tf; the wrapper makes ssh use this folder only.
        self.environment["PATH"] = f"{folder}{os.pathsep}{self.environment['PATH']}"
        self.environment["PYTHONPATH"] = str(ROOT)
        self.environment["HOME"] = str(folder)
        self._machines: dict[str, subprocess.Popen] = {}
        self._jobs: list[subprocess.Popen] = []
        self._write_settings()

    def options(self, slots: int, names: Sequence[str] = NAMES) -> list[str]:
        """What horovodrun and ``xnas-tf launch`` must be told for so many ranks a host."""
        return [
            *("-H", ",".join(f"{name}:{slots}" for name in names)),
            *("--ssh-port", str(PORT), "--ssh-identity-file", str(self.folder / "user_key")),
        ]

    def start(self) -> None:
        """Starts the head and both hosts, and waits until they answer."""
        self._start("head", HEAD.format(interface=INTERFACE, address=ADDRESSES["head"]), START)
        for name in NAMES:
            script = HOST.format(name=name, sshd=_find("sshd"), folder=self.folder)
            # The first process of a PID namespace takes all others along when it dies.
            own_processes = ["--pid", "--fork", "--kill-child", "--mount-proc"]
            host = self._start(name, script, [*START, *own_processes])
            self._head(*f"ip link add {name} type veth peer {INTERFACE} netns {host.pid}".split())
            self._head(*f"ip link set {name} up master {INTERFACE}".split())
            network = ["nsenter", f"--net=/proc/{host.pid}/ns/net"]
            _do(*network, *f"ip address add {ADDRESSES[name]}/24 dev {INTERFACE}".split())
            _do(*network, *f"ip link set {INTERFACE} up".split())
        for name in NAMES:
            self._wait_for_ssh(name)

    def command(self, *words: str | Path, cwd: Path) -> list[str]:
        """A command line that runs another one on the head, as the same process."""
        spaces = ["--target", str(self._machines["head"].pid), "--net", "--uts", "--mount"]
        change = ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd)]
        return ["nsenter", *spaces, *change, *map(str, words)]

    def horovodrun(self, *words: str | Path, cwd: Path, ranks: int = 4) -> subprocess.Popen:
        """Starts ``horovodrun -np RANKS -H hosta:2,hostb:2 WORDS`` on the head; it remembers for
        an hour that a host can be reached, unless told otherwise."""
        options = ["-np", str(ranks), *self.options(2), "--disable-cache"]
        return self.start_job(BIN / "horovodrun", *options, *words, cwd=cwd)

    def start_job(self, *words: str | Path, cwd: Path) -> subprocess.Popen:
        """Starts a program on the head, in a session of its own."""
        job = subprocess.Popen(
            self.command(*words, cwd=cwd),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._jobs.append(job)
        return job

    def alive(self, name: str) -> bool:
        """Whether a host runs."""
        return self._machines[name].poll() is None

    def processes(self, name: str, word: str) -> list[psutil.Process]:
        """What runs on a host with a word in its command line."""
        if not self.alive(name):
            return []
        found = psutil.Process(self._machines[name].pid).children(recursive=True)
        # A rank whose sshd has gone is a child of the host's first process, thus still found.
        return [process for process in found if word in " ".join(_command_line(process))]

    def unplug(self, name: str) -> None:
        """Pulls a host's network cable: it runs on, but nobody hears of it."""
        self._head(*f"ip link set {name} down".split())

    def kill(self, name: str, power_cut: bool = True) -> None:
        """Ends everything on a host at once, its sshd too.

        Args:
            name: The host.
            power_cut: Whether it falls silent, as a machine without power does; else its
                kernel still closes its connections, and the others notice at once.
        """
        if power_cut:
            self.unplug(name)
        machine = self._machines[name]
        for first in psutil.Process(machine.pid).children():
            first.kill()
        machine.wait(30)  # ends when the last process of the namespace has

    def stop(self) -> None:
        """Ends all that is left, jobs of a failed test too."""
        for job in self._jobs:
            job.kill()  # its ssh clients end with it
            job.wait(30)
        for name in NAMES:
            if name in self._machines and self.alive(name):
                self.kill(name, power_cut=False)
        for machine in self._machines.values():
            machine.kill()
            machine.wait(30)
            machine.stdout.close()

    def _write_settings(self) -> None:
        folder = self.folder
        for key in ("host_key", "user_key"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
        (folder / "sshd_config").write_text(SSHD.format(port=PORT, folder=folder))
        # The real one may lock root's account, and then sshd lets nobody in.
        (folder / "shadow").write_text("root:*:19000:0:99999:7:::\n")
        known = {"localhost": "127.0.0.1", **ADDRESSES}
        lines = [f"{address} {name}\n" for name, address in known.items()]
        (folder / "hosts").write_text("".join(lines))
        (folder / "ssh").write_text(SSH.format(ssh=_find("ssh"), folder=folder))
        (folder / "ssh").chmod(0o755)

    def _start(self, name: str, script: str, program: list[str]) -> subprocess.Popen:
        log = self.folder / f"{name}.start"
        with log.open("w") as errors:  # unshare also writes there when it is killed
            machine = subprocess.Popen(
                [*program, "sh", "-c", script],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._machines[name] = machine
        assert machine.stdout.readline() == "ready\n", f"{name}: {log.read_text()}"
        return machine

    def _head(self, *words: str) -> None:
        _do("nsenter", f"--net=/proc/{self._machines['head'].pid}/ns/net", *words)

    def _wait_for_ssh(self, name: str) -> None:
        words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
        words += ["-o", "ConnectTimeout=5", "-p", str(PORT), "-i", str(self.folder / "user_key")]
        for _ in range(20):
            tried = subprocess.run(
                self.command(*words, name, "true", cwd=self.folder),
                env=self.environment,
                capture_output=True,
                text=True,
            )
            if tried.returncode == 0:
                return
            time.sleep(0.25)
        log = self.folder / f"{name}.log"
        pytest.fail(f"no ssh to {name}: {tried.stderr}{log.read_text() if log.exists() else ''}")


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """Two hosts with an sshd each, ended with the test."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path / "hosts"
    folder.mkdir()
    hosts = TwoHosts(folder)
    try:
        hosts.start()
        yield hosts
    finally:
        hosts.stop()


def missing() -> str | None:
    """What keeps hosts from being made here; None if nothing does."""
    if os.name != "posix" or os.geteuid() != 0:
        return "two hosts need root, for namespaces"
    for program in ("sshd", "ssh", "ssh-keygen", "ip", "unshare", "nsenter", "setpriv"):
        if _find(program) is None:
            return f"two hosts need {program} (Debian: openssh-server, iproute2, util-linux)"
    words = [*START, "--pid", "--fork", "--mount-proc", "ip", "link", "add", "x", "type", "bridge"]
    tried = subprocess.run(words, capture_output=True, text=True)
    if tried.returncode:
        return f"namespaces or bridges are not allowed here: {tried.stderr.strip()}"
    return None


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def _command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []
