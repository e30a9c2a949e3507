"""Horovod's rendezvous, through which the ranks of a group find each other, with Gloo."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import ray

from xnas_tf.distributed.start import HOW_TO_BUILD
from xnas_tf.errors import InputError
from xnas_tf.launcher.ray.rank import RankAddress


def rendezvous(places: Sequence[RankAddress]) -> tuple[Any, list[dict[str, str]]]:
    """Start a rendezvous server for a group in this process.

    Args:
        places: The addresses of its ranks, sorted by node.

    Returns:
        The server, which runs until it is stopped, and the environment variables of each rank.

    Raises:
        InputError: If Horovod is not installed.
    """
    try:
        from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
        from horovod.runner.http.http_server import RendezvousServer
    except ImportError as error:
        raise InputError(
            f"groups of {len(places)} ranks need Horovod, which is not installed: {HOW_TO_BUILD}"
        ) from error
    hosts = [(address, len(list(of))) for address, of in groupby(places, lambda p: p.address)]
    text = ",".join(f"{address}:{count}" for address, count in hosts)
    slots = get_host_assignments(parse_hosts(text), len(places))
    server = RendezvousServer(0)
    port = server.start()
    server.init(slots)
    common = {
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": ray.util.get_node_ip_address(),
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
    }
    return server, [
        {**common, **_environment_of(*pair)} for pair in zip(slots, places, strict=True)
    ]


def _environment_of(slot: Any, place: RankAddress) -> dict[str, str]:
    """Return the environment variables of one rank."""
    return {
        "HOROVOD_HOSTNAME": slot.hostname,
        "HOROVOD_RANK": str(slot.rank),
        "HOROVOD_SIZE": str(slot.size),
        "HOROVOD_LOCAL_RANK": str(slot.local_rank),
        "HOROVOD_LOCAL_SIZE": str(slot.local_size),
        "HOROVOD_CROSS_RANK": str(slot.cross_rank),
        "HOROVOD_CROSS_SIZE": str(slot.cross_size),
        "HOROVOD_GLOO_IFACE": place.interface,
    }
