"""A Slurm of one controller and two nodes, in network namespaces of this machine.

Needs root, Debian's slurmctld, slurmd, slurm-client and munge, and iproute2.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

from tests.e2e.conftest import environment

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter")
ADDRESSES = {"head": "10.0.0.1", "hosta": "10.0.0.2", "hostb": "10.0.0.3"}
SLURM = """
ClusterName=lab
SlurmctldHost=head(10.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={lab}/state
SlurmdSpoolDir={lab}/spool.%n
SlurmctldPidFile={lab}/slurmctld.pid
SlurmdPidFile={lab}/slurmd.%n.pid
SlurmctldLogFile={lab}/slurmctld.log
SlurmdLogFile={lab}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
InactiveLimit=0
KillWait=30
MinJobAge=600
JobRequeue=1
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=hosta NodeAddr=10.0.0.2 CPUs=2 RealMemory=4000 Gres=gpu:4 State=UNKNOWN
NodeName=hostb NodeAddr=10.0.0.3 CPUs=2 RealMemory=4000 Gres=gpu:4 State=UNKNOWN
PartitionName=low Nodes=hosta,hostb Default=YES State=UP PriorityTier=1 GraceTime=60
PartitionName=high Nodes=hosta,hostb State=UP PriorityTier=10 PreemptMode=OFF
"""
BEGIN = """
set -e
hostname {name}
mount --bind {lab}/hosts /etc/hosts
mkdir -p /etc/slurm
mount --bind {lab}/etc /etc/slurm
mount -t tmpfs none /run
mkdir -p /run/munge
ip link set lo up
munged --force --key-file={lab}/munge.key --log-file={lab}/munged.{name}.log \
  --pid-file=/run/munge/munged.pid --seed-file=/run/munge/seed
echo ready >{lab}/{name}.ready
"""


def is_possible():
    """Whether this machine has what a lab needs."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in PROGRAMS)


class Lab:
    """Namespaces named after ``ADDRESSES``, each of them a host."""

    def __init__(self, folder):
        self.folder = folder
        self._processes = {}
        self._inside = {}
        for name in ("state", "etc", "spool.hosta", "spool.hostb"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        hosts = [f"{address} {name}" for name, address in ADDRESSES.items()]
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *hosts]) + "\n")
        for number in range(4):
            (folder / f"gpu{number}").touch()
        (folder / "etc" / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-3]\n")
        (folder / "etc" / "slurm.conf").write_text(SLURM.format(lab=folder))
        self._start("head", "sleep infinity")
        words = "ip link add net0 type bridge && ip address add 10.0.0.1/24 dev net0"
        self.run("head", "sh", "-c", f"{words} && ip link set net0 up")
        self._controller = self._popen("head", "slurmctld", "-D", "-c")
        for name in ("hosta", "hostb"):
            self.start(name)

    def start(self, name):
        """Starts a node, also again."""
        online = "until ip address show net0 | grep -q 'inet '; do sleep 0.1; done"
        self._start(name, f"{online}; exec slurmd -D -N {name}")
        inside, head = self._inside[name], self._inside["head"]
        for words in (
            ["nsenter", "-t", head, "--net", "ip", "link", "add", name, "type", "veth", "peer"]
            + ["net0", "netns", inside],
            ["nsenter", "-t", head, "--net", "ip", "link", "set", name, "up", "master", "net0"],
            ["nsenter", "-t", inside, "--net", "ip", "address", "add", f"{ADDRESSES[name]}/24"]
            + ["dev", "net0"],
            ["nsenter", "-t", inside, "--net", "ip", "link", "set", "net0", "up"],
        ):
            subprocess.run(words, check=True)
        self.wait(lambda: name in self.run("head", "sinfo", "-h", "-N", "-t", "idle", "-o", "%N"))

    def cut_power(self, name):
        """Pulls a node's cable, then ends all of its processes."""
        self.run("head", "ip", "link", "del", name)
        os.kill(int(self._inside[name]), signal.SIGKILL)
        self._processes.pop(name).wait()

    def run(self, name, *words, **options):
        """What a command prints on a host."""
        done = subprocess.run(
            [*self._enter(name), *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
            env={**environment(), **options.pop("variables", {})},
            **options,
        )
        return done.stdout

    def wait(self, condition, seconds=60):
        """What a condition gives, once that is true."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, (self.folder / "slurmctld.log").read_text()[-3000:]
            time.sleep(0.2)
        return value

    def close(self):
        """Ends all hosts, and with each what runs there."""
        for pid in self._inside.values():
            os.kill(int(pid), signal.SIGKILL)
        for process in (self._controller, *self._processes.values()):
            process.wait()

    def _start(self, name, command):
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        words = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child"]
        words += ["--mount-proc"]
        script = BEGIN.format(name=name, lab=self.folder) + command
        log = (self.folder / f"{name}.log").open("a")
        process = subprocess.Popen(
            [*words, "bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self._processes[name] = process
        end = time.monotonic() + 30
        while not ready.exists():
            assert time.monotonic() < end, (self.folder / f"{name}.log").read_text()
            time.sleep(0.1)
        self._inside[name] = str(_child(process.pid))

    def _enter(self, name):
        spaces = ["--net", "--uts", "--mount", "--pid"]
        return ["nsenter", "-t", self._inside[name], *spaces, "--"]

    def _popen(self, name, *words):
        log = (self.folder / "controller.log").open("a")
        return subprocess.Popen([*self._enter(name), *words], stdout=log, stderr=log)


def _child(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])


@contextmanager
def slurm(folder):
    """A lab, as long as it is entered."""
    lab = Lab(folder)
    try:
        yield lab
    finally:
        lab.close()
