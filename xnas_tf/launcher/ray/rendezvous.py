"""Horovod's rendezvous, through which a group's ranks find each other with Gloo."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import ray

from xnas_tf.distributed.start import HOW_TO_BUILD
from xnas_tf.errors import InputError
from xnas_tf.launcher.ray.rank import RankAddress


def rendezvous(places: Sequence[RankAddress]) -> tuple[Any, list[dict[str, str]]]:
    """Start the rendezvous server of a group in this process, given its ranks sorted by node.

    Returns:
        The server, which runs until it is stopped, and each rank's environment variables.

    Raises:
        InputError: If Horovod is not installed.
    """
    try:
        from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
        from horovod.runner.gloo_run import create_slot_env_vars
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
        {**common, **create_slot_env_vars(slot), "HOROVOD_GLOO_IFACE": place.interface}
        for slot, place in zip(slots, places, strict=True)
    ]
