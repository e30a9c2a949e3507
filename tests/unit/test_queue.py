"""The work queue: who may speak to it, and that nobody is forgotten."""

import contextlib
import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.distributed import door, queue
from xnas_tf.distributed.client import QueueClient
from xnas_tf.distributed.queue import QueueServer
from xnas_tf.distributed.wire import FIRST_LIMIT, HEADER, NONCE, Seal, WireError
from xnas_tf.errors import RunError


class Desk:
    """Hands out a number of tasks, each of which may be told once."""

    def __init__(self, tasks):
        self.left = list(range(1, tasks + 1))
        self.open, self.told, self.models, self.groups = set(), {}, {}, {}
        self.checkpoints, self.gone = {}, []
        self.threads = set()

    together = staticmethod(nullcontext)

    def stopping(self):
        return 143 if self.is_over else 0

    @property
    def is_over(self):
        return not self.left and not self.open

    def next(self, group=0):
        self.threads.add(threading.get_ident())
        if not self.left:
            return None
        number = self.left.pop(0)
        self.open.add(number)
        self.groups[number] = group
        return {"id": number}

    def known(self, number, outcome):
        return {"value": outcome["value"] + 1} if number % 2 else None

    def wants_model(self, number, outcome):
        return outcome["value"] % 2 == 0

    def keep_model(self, number, data):
        self.models[number] = data

    def keep_checkpoint(self, number, data):
        self.checkpoints[number] = data

    def checkpoint(self, number):
        return self.checkpoints.get(number, b"")

    def lost(self, rank):
        self.gone.append(rank)

    def tell(self, number, outcome):
        self.open.remove(number)
        assert number not in self.told
        self.told[number] = outcome["value"]


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Clients that a test leaves open hold nobody up."""
    monkeypatch.setattr(queue, "PATIENCE", 1.0)


def work(address, group):
    client, done = QueueClient(address), 0
    while not (reply := client.next(group)).get("over"):
        if "task" in reply:
            number = reply["task"]["id"]
            outcome = {"value": number * 10 + number % 3}
            assert client.checkpoint(number) == b""
            client.keep_checkpoint(number, b"c" * number)
            assert client.checkpoint(number) == b"c" * number
            known = client.known(number, outcome)
            assert known == ({"value": outcome["value"] + 1} if number % 2 else None)
            if client.wants_model(number, outcome):
                client.keep_model(number, b"m" * (number * 1000))
            client.tell(number, outcome)
            done += 1
    client.close()
    return done


def test_every_task_is_done_once_by_somebody():
    desk = Desk(200)
    with QueueServer(desk) as server, ThreadPoolExecutor(20) as pool:
        counts = list(pool.map(lambda g: work(server.address, g), range(20)))
    assert sum(counts) == 200 and desk.is_over
    assert desk.told == {n: n * 10 + n % 3 for n in range(1, 201)}
    assert desk.models == {n: b"m" * (n * 1000) for n in range(1, 201) if (n * 10 + n % 3) % 2 == 0}
    assert len(desk.threads) == 1


def test_who_waits_is_told_so_and_served_when_there_is_something(monkeypatch):
    monkeypatch.setattr(queue, "HOLD", 0.05)
    desk = Desk(1)
    with QueueServer(desk) as server:
        first, second = QueueClient(server.address), QueueClient(server.address)
        assert first.next(0)["task"] == {"id": 1}
        assert second.next(1)["wait"]
        first.tell(1, {"value": 1})
        assert first.stopping() == 143
        assert second.next(1)["over"] and second.stopping() == 143


def test_who_meets_hears_whether_all_came(monkeypatch):
    with QueueServer(Desk(0)) as server, ThreadPoolExecutor(3) as pool:
        clients = [QueueClient(server.address) for _ in range(3)]
        assert list(pool.map(lambda c: c.meet("all three", 3), clients)) == [True] * 3
        monkeypatch.setattr(queue, "HOLD", 0.1)
        assert list(pool.map(lambda c: c.meet("one is missing", 4), clients)) == [False] * 3
        assert clients[0].meet("alone", 1)


def test_the_first_that_vanishes_is_noted_and_those_taken_along_are_not():
    desk = Desk(3)
    with QueueServer(desk) as server:
        killed, taken_along, other = (QueueClient(server.address, rank) for rank in (1, 2, 3))
        for client in (killed, taken_along):
            client._socket.close()
            wait_until(lambda: desk.gone)
        with pytest.raises(RunError, match="rank 1 is gone"):
            other.next(0)
    assert desk.gone == [1]


def test_nobody_waits_for_who_left_before_the_end(monkeypatch):
    """User code may end its process with exit code 0, and srun may let the others go on."""
    monkeypatch.setattr(queue, "HOLD", 0.1)
    desk = Desk(2)
    with QueueServer(desk) as server, ThreadPoolExecutor(1) as pool:
        left, working, waiting = (QueueClient(server.address, rank) for rank in (0, 1, 2))
        left.next(0), working.next(1)
        monkeypatch.setattr(queue, "HOLD", 60.0)
        held = pool.submit(waiting.next, 2)
        wait_until(lambda: server._waiting)
        left.close()
        with pytest.raises(RunError, match="rank 0 is gone"):
            held.result(timeout=20)
        working.tell(2, {"value": 4})  # what is finished is not lost
        monkeypatch.setattr(queue, "HOLD", 0.1)
        with pytest.raises(RunError, match="rank 0 is gone"):
            working.meet("end", 3)
        with pytest.raises(RunError, match="rank 0 is gone"):
            working.next(1)
    assert desk.gone == [] and desk.told == {2: 4}


def test_who_leaves_when_it_is_over_or_all_are_told_to_is_not_missed():
    for desk in (Desk(0), Desk(1)):
        desk.stopping = lambda desk=desk: 143 if desk.left else 0
        with QueueServer(desk) as server:
            first, second = QueueClient(server.address, 1), QueueClient(server.address, 2)
            first.close()
            wait_until(lambda: len(server._conversations) == 1)
            assert second.next(0) in ({"over": True, "data": 0}, {"task": {"id": 1}, "data": 0})


def test_nobody_vanishes_because_rank_0_leaves():
    desk = Desk(1)
    with pytest.raises(KeyError), QueueServer(desk) as server:
        client = QueueClient(server.address, 2)
        raise KeyError  # rank 0 fails
    assert desk.gone == [] and not server._gone
    with pytest.raises(RunError, match="rank 0 is gone"):
        client.next(0)


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end


def test_what_is_sent_in_pieces_arrives_whole(monkeypatch):
    from xnas_tf.distributed import wire

    for module in (queue, wire):
        monkeypatch.setattr(module, "PIECE", 200)
    desk = Desk(0)
    with QueueServer(desk) as server:
        client = QueueClient(server.address)
        for length in (0, 1, 199, 200, 201, 1000):
            client.keep_checkpoint(length, bytes(range(250)) * 4 + b"x" * length)
            assert client.checkpoint(length) == bytes(range(250)) * 4 + b"x" * length
        client.close()


def test_those_in_line_hear_of_a_failure_too(monkeypatch):
    class Broken(Desk):
        is_over, asked = False, 0

        def next(self, group=0):
            self.asked += 1
            if self.asked > 1:
                raise OSError("no space left")

    with QueueServer(Broken(0)) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(QueueClient(server.address).next, 0)
        wait_until(lambda: server._waiting)
        for ask in (lambda: QueueClient(server.address), lambda: first.result(timeout=20)):
            with pytest.raises(RunError, match="no space left"):
                ask()


def test_many_idle_strangers_do_not_stop_the_queue(monkeypatch):
    monkeypatch.setattr(door, "STRANGERS", 8)
    desk = Desk(3)
    monkeypatch.setattr(door, "PATIENCE", 60.0)  # longer than a client tries
    with QueueServer(desk) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        assert work(server.address, 0) == 3
        for stranger in idle:
            stranger.close()


def test_more_clients_at_once_than_strangers_are_allowed_all_get_in(monkeypatch):
    monkeypatch.setattr(door, "STRANGERS", 4)
    desk = Desk(100)
    with QueueServer(desk) as server, ThreadPoolExecutor(50) as pool:
        counts = list(pool.map(lambda g: work(server.address, g), range(50)))
    assert sum(counts) == 100 and desk.gone == []


def connect(server):
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    return raw, raw.recv(NONCE)


ASK = json.dumps({"do": "next", "group": 0}).encode()


def is_hung_up_on(raw):
    with contextlib.suppress(ConnectionError):
        while data := raw.recv(1 << 16):
            assert not data
    return True


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=300))
def test_garbage_does_nothing(data):
    desk = Desk(3)
    with QueueServer(desk) as server:
        raw, _ = connect(server)
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        assert is_hung_up_on(raw)
        assert work(server.address, 0) == 3
    assert desk.is_over


def sealed(key, nonces, contents, is_server=False):
    seal = Seal(key, nonces, is_server)
    return b"".join(seal.header(content) + content for content in contents)


@pytest.mark.parametrize("attack", ["wrong key", "replayed", "changed", "mirrored", "long"])
def test_what_is_not_authentic_does_nothing(attack):
    desk = Desk(2)
    with QueueServer(desk) as server:
        raw, nonce = connect(server)
        mine = b"n" * NONCE
        frames = {
            "wrong key": lambda: sealed(b"k" * 32, nonce + mine, [ASK]),
            # heard in another conversation
            "replayed": lambda: sealed(server.key, b"o" * NONCE + mine, [ASK]),
            "changed": lambda: sealed(server.key, nonce + mine, [ASK])[:-1] + b" ",
            # what the server itself would say
            "mirrored": lambda: sealed(server.key, nonce + mine, [ASK], is_server=True),
            "long": lambda: HEADER.pack(FIRST_LIMIT + 1, b"c" * 32) + b"x" * 100,
        }
        raw.sendall(mine + frames[attack]())
        assert is_hung_up_on(raw)
        assert desk.left == [1, 2]
        assert work(server.address, 0) == 2


def test_silent_and_slow_strangers_keep_nobody_waiting(monkeypatch):
    desk = Desk(5)
    monkeypatch.setattr(door, "PATIENCE", 600.0)  # one after the other would take for ever
    with QueueServer(desk) as server:
        silent = [connect(server)[0] for _ in range(50)]
        silent[0].sendall(struct.pack(">I", 10))
        assert work(server.address, 0) == 5
        for raw in silent:
            raw.close()


def test_silent_strangers_are_hung_up_on(monkeypatch):
    monkeypatch.setattr(door, "PATIENCE", 0.1)
    with QueueServer(Desk(1)) as server:
        assert is_hung_up_on(connect(server)[0])


def test_a_desk_that_fails_fails_everybody():
    class Broken(Desk):
        def tell(self, number, outcome):
            raise RunError("the disk is full")

    with QueueServer(Broken(3)) as server:
        first, second = QueueClient(server.address), QueueClient(server.address)
        first.next(0)
        with pytest.raises(RunError, match="the disk is full"):
            first.tell(1, {"value": 1})
        with pytest.raises(RunError, match="rank 0"):
            second.next(1)
    assert "the disk is full" in str(server.failure)


def test_a_client_of_a_dead_server_is_told():
    server = QueueServer(Desk(1))
    with server:
        client = QueueClient(server.address)
        client.next(0)
        address = server.address
    with pytest.raises(RunError, match="rank 0 is gone"):
        client.next(0)
    with pytest.raises(RunError, match="cannot be reached"):
        QueueClient(address)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(max_size=100), max_size=5), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_is_opened_in_its_order_only(contents, key):
    sender, receiver = Seal(key, b"n", is_server=True), Seal(key, b"n", is_server=False)
    frames = [(sender.header(content), content) for content in contents]
    for header, content in frames:
        assert receiver.length(header) == len(content)
        assert receiver.check(header, content) == content
    for header, content in frames:
        with pytest.raises(WireError):
            receiver.check(header, content)
