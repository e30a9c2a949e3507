"""Floods of strangers: they take neither the queue nor the record's files."""

import multiprocessing
import os
import resource
import socket
import threading
from contextlib import contextmanager, suppress

import psutil
import pytest

from tests.unit.test_algorithm import CellSpace
from tests.unit.test_conductor import configuration, outcome_of
from xnas_tf.distributed import door
from xnas_tf.distributed.client import QueueClient
from xnas_tf.distributed.queue import QueueServer
from xnas_tf.errors import RunError
from xnas_tf.run.conductor import Conductor
from xnas_tf.run.directory import open_record
from xnas_tf.run.observer import Observer
from xnas_tf.strategy import create

FILES = 600
FLOOD = 1500
CANDIDATES = 40


MARGIN = 100
"""Files that the server could still open at any time."""


def serve_with_few_files(path, said, pipe):
    """A real search that may open few files; sends its address, then how it ended."""
    os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY, 0o600), 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    config = configuration(CANDIDATES)
    record = open_record(path, config)
    algorithm = create(config.search, config.directions, CellSpace(), steady_state=True)
    conductor = Conductor(path, config, record, algorithm, Observer())
    with QueueServer(conductor) as server:
        pipe.send(server.address)
        pipe.recv()
    pipe.send((server.failure and str(server.failure), conductor.is_over))
    record.close()


@contextmanager
def flooded(port, count):
    """So many connections that say nothing, made anew whenever they are hung up on."""
    over = threading.Event()

    def flood(number):
        strangers = []
        while not over.is_set():
            with suppress(OSError):
                strangers.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            if len(strangers) > number:
                strangers.pop(0).close()
        for stranger in strangers:
            stranger.close()

    threads = [threading.Thread(target=flood, args=(count // 10,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def many_files():
    """This process may open more files than the server may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FLOOD + 500:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FLOOD + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_flood_of_strangers_leaves_files_for_the_record(tmp_path, many_files):
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    arguments = tmp_path / "run", tmp_path / "said", theirs
    process = context.Process(target=serve_with_few_files, args=arguments, daemon=True)
    process.start()
    address = mine.recv()
    with flooded(address["port"], FLOOD):
        client, opened = QueueClient(address), []
        while "over" not in (reply := client.next()):
            opened.append(len(os.listdir(f"/proc/{process.pid}/fd")))
            client.tell(reply["task"]["id"], outcome_of(reply["task"]))
        client.close()
    mine.send("end")
    assert mine.recv() == (None, True)
    process.join()
    assert door.FEWEST_STRANGERS < max(opened) < FILES - MARGIN
    assert (tmp_path / "said").read_text() == ""  # a flood must not fill the log either


def test_strangers_are_fewer_where_files_are(monkeypatch):
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    opened = psutil.Process().num_fds()
    for limit, ranks in ((resource.RLIM_INFINITY, 8), (10**6, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert door.allowed_strangers(ranks) == door.STRANGERS
    limit = opened + door.OWN_FILES + door.PASSES * door.AT_ONCE + 100
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert door.allowed_strangers(8) in range(60, 101)  # files of other tests may have closed
    with pytest.raises(RunError, match=rf"may open {limit} files; 64 ranks need \d+: raise"):
        door.allowed_strangers(64)
