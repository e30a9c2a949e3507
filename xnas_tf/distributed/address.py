"""The address at which the ranks of other hosts reach rank 0."""

from __future__ import annotations

import ipaddress
import os
import socket

import psutil

from xnas_tf.distributed.communicator import Communicator
from xnas_tf.errors import RunError

ANYWHERE = "192.0.2.1"
"""An address that no network has (RFC 5737): the way to it is the default route."""


def queue_host(world: Communicator) -> str:
    """Finds the address that rank 0's work queue should listen on.

    The network that Horovod itself uses is known to connect the hosts, so it comes first.

    Args:
        world: All ranks of the job.

    Returns:
        ``127.0.0.1`` if all ranks are on one host, else an IPv4 address of this host.

    Raises:
        RunError: If this host has no address that others could reach.
    """
    if world.local_size == world.size:
        return "127.0.0.1"
    for find in (_of_gloo_interface, _towards_launcher, _by_default_route, _by_name):
        address = find()
        if address and not ipaddress.ip_address(address).is_loopback:
            return address
    raise RunError(
        "this host has no IPv4 address that the job's other hosts could reach; name the network "
        "interface that they share, with horovodrun --network-interface NAME, or in "
        "HOROVOD_GLOO_IFACE under mpirun or srun"
    )


def _of_gloo_interface() -> str | None:
    """Of the interface on which Horovod's Gloo listens; horovodrun names it to every rank."""
    name = os.environ.get("HOROVOD_GLOO_IFACE")
    if not name:
        return None
    addresses = psutil.net_if_addrs().get(name, [])
    return next((a.address for a in addresses if a.family == socket.AF_INET), None)


def _towards_launcher() -> str | None:
    """On the way to the machine that started the ranks, where horovodrun or srun tells it."""
    names = ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "SLURM_LAUNCH_NODE_IPADDR")
    launcher = next(filter(None, map(os.environ.get, names)), None)
    return source_address(launcher) if launcher else None


def _by_default_route() -> str | None:
    return source_address(ANYWHERE)


def _by_name() -> str | None:
    """What this host's name stands for; often loopback, hence last."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return None


def interface_towards(host: str) -> str | None:
    """The name of this host's network interface on the way to another host, if there is one."""
    address = source_address(host)
    nics = psutil.net_if_addrs().items()
    return next((name for name, all_ in nics if address in [a.address for a in all_]), None)


def source_address(destination: str) -> str | None:
    """This host's address on the way to another one; None if there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # On a datagram socket this only looks up the route: nothing is sent.
            probe.connect((destination, 9))
        except OSError:
            return None
        return probe.getsockname()[0]
