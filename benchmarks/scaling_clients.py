"""What benchmarks/scaling.py measures on the real clock, with clients in another process."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from scaling_search import EACH, conductor_of, length_of, outcome

from xnas_tf.distributed.client import QueueClient
from xnas_tf.distributed.queue import QueueServer


def serve(candidates: int, clients: int) -> dict[str, float]:
    """Lets many clients of another process ask and answer as fast as they can."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, candidates, steady_state=True)
        with QueueServer(conductor) as server:
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=ask, args=(server.address, clients))
            cpu, begin = time.process_time(), time.perf_counter()
            process.start()
            process.join()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        disk = (Path(folder) / "run" / "run.sqlite").stat().st_size
    return {
        "queue_per_second": candidates / cpu,
        "queue_per_second_wall": candidates / wall,
        "memory_bytes_per_candidate": memory(),
        "disk_bytes_per_candidate": disk / candidates,
    }


def sleepers(groups: int, median: float = 2.0) -> list[tuple[float, float]]:
    """When evaluations began and ended in a whole search with the real queue, over real sockets and
    on the real clock: groups that sleep instead, 30 times as short as on the simulated clock."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, groups * EACH, steady_state=True, groups=groups)
        with QueueServer(conductor) as server:
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe()
            process = context.Process(
                target=sleep_in_groups, args=(server.address, groups, median, theirs)
            )
            process.start()
            spans = mine.recv()
            process.join()
    return spans


def sleep_in_groups(address: dict, groups: int, median: float, pipe) -> None:
    """What the other process does: each thread is a group's leader; sends when they slept."""
    spans: list[tuple[float, float]] = []
    begun = threading.Barrier(groups + 1)

    def lead_and_sleep(group: int) -> None:
        rng = np.random.default_rng([group])
        client, told = QueueClient(address), None
        begun.wait()
        while "over" not in (reply := client.next(group, told)):
            told = None
            if task := reply.get("task"):
                begin = time.perf_counter()
                end = begin + length_of(task, rng.standard_normal(), median)
                while (left := end - time.perf_counter()) > 0:
                    time.sleep(min(left, 1.0))
                    client.stopping()  # as leaders ask every second
                spans.append((begin, time.perf_counter()))
                told = task["id"], outcome(task, spans[-1][1] - begin)
        client.close()

    threads = [threading.Thread(target=lead_and_sleep, args=(n,)) for n in range(groups)]
    for thread in threads:
        thread.start()
    begun.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    pipe.send([(start - begin, end - begin) for start, end in spans])


def memory(warm: int = 4_000, candidates: int = 16_000) -> float:
    """Resident bytes a candidate, from the one after warming up to the last, in a process of
    its own."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=grow, args=(theirs, warm, candidates))
    process.start()
    found = mine.recv()
    process.join()
    return found / (candidates - warm)


def grow(pipe, warm: int, candidates: int) -> None:
    """Runs a search without a queue and sends how much memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = conductor_of(folder, candidates, steady_state=True)
        while not conductor.is_over:
            with conductor.together():
                tasks = [task for _ in range(50) if (task := conductor.next())]
                for task in tasks:
                    conductor.tell(task["id"], outcome(task))
            if tasks and tasks[0]["id"] <= warm:
                before = resident_bytes()
        pipe.send(resident_bytes() - before)


def ask(address: dict, clients: int) -> None:
    """What the other process does: each thread is a group's leader."""
    threads = [threading.Thread(target=lead, args=(address, n)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lead(address: dict, group: int) -> None:
    """A group whose evaluations take no time."""
    client, told = QueueClient(address), None
    while "over" not in (reply := client.next(group, told)):
        task = reply.get("task")
        told = (task["id"], outcome(task)) if task else None
    client.close()


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
