"""Searches on Ray that go on by themselves, and clusters of several simulated nodes."""

import secrets
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil

from tests.e2e.conftest import BIN, environment

SECONDS = 400

NODES = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
print(cluster.address, flush=True)
nodes = {}
for line in sys.stdin:
    command, name = line.split()
    if command == "add":
        nodes[name] = cluster.add_node(num_cpus=1)
    else:
        cluster.remove_node(nodes.pop(name), allow_graceful=False)
    print("done", flush=True)
cluster.shutdown()
"""
"""In a process of its own: Ray reads its token when it is imported."""


class Nodes:
    """A cluster of nodes with one processor each, beside a head without one.

    Attributes:
        address: Of the cluster.
        environment: With its token.
    """

    def __init__(self, process, variables):
        self._process, self.environment = process, variables
        self.address = process.stdout.readline().strip()
        assert self.address, "Ray did not start"

    def add(self, name):
        self._say("add", name)

    def remove(self, name):
        """As a power cut does."""
        self._say("remove", name)

    def _say(self, *words):
        print(*words, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def ranks(self):
        """The ranks that run on all nodes."""
        return ranks_of(self._process)


@contextmanager
def nodes(*names):
    """A cluster of nodes with these names."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    variables = {**environment(), **token, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        cluster = Nodes(process, variables)
        for name in names:
            cluster.add(name)
        yield cluster
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.stdin.close()
        process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            each.kill()


def started(folder, *words, variables=None):
    """A search that goes on by itself."""
    command = [str(BIN / "xnas-tf"), "search", "--run-dir", "run", *map(str, words)]
    stderr = (folder / "stderr").open("a")
    return subprocess.Popen(command, cwd=folder, env=variables or environment(), stderr=stderr)


def wait_until(condition, seconds=SECONDS):
    """What a condition gives, once that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
    return value


def ranks_of(process):
    """The ranks that evaluate, below a process."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return [p for p in family if "ray::Rank" in " ".join(_command(p))]
    except psutil.Error:
        return []


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def checkpoints(folder):
    return list((folder / "run" / "checkpoints").glob("*.npz"))
