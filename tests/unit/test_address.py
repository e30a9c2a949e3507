"""Where rank 0 listens, by what the launcher left in the environment."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from xnas_tf.distributed import SingleProcess, address
from xnas_tf.distributed.address import queue_host
from xnas_tf.errors import RunError

TWO_HOSTS = SimpleNamespace(size=4, local_size=2)
INTERFACES = {
    "lo": [(socket.AF_INET, "127.0.0.1")],
    "ib0": [(socket.AF_INET6, "fe80::1%ib0"), (socket.AF_INET, "10.1.0.2")],
    "six": [(socket.AF_INET6, "fe80::2%six")],
}
ROUTES = {"10.2.0.1": "10.2.0.2", "10.3.0.1": "10.3.0.2", "127.0.0.1": "127.0.0.1"}


@pytest.fixture
def host(monkeypatch):
    """A host with the interfaces and routes above, no default route and a useless name."""
    for name in ("HOROVOD_GLOO_IFACE", "HOROVOD_GLOO_RENDEZVOUS_ADDR", "SLURM_LAUNCH_NODE_IPADDR"):
        monkeypatch.delenv(name, raising=False)
    known = {
        name: [SimpleNamespace(family=family, address=text) for family, text in addresses]
        for name, addresses in INTERFACES.items()
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: known)
    routes = dict(ROUTES)
    monkeypatch.setattr(address, "source_address", routes.get)
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "127.0.1.1")
    return SimpleNamespace(setenv=monkeypatch.setenv, routes=routes, patch=monkeypatch.setattr)


def test_ranks_of_one_host_stay_on_it(host):
    host.setenv("HOROVOD_GLOO_IFACE", "ib0")
    assert queue_host(SingleProcess()) == "127.0.0.1"
    assert queue_host(SimpleNamespace(size=4, local_size=4)) == "127.0.0.1"


def test_the_interface_of_gloo_comes_first(host):
    host.setenv("HOROVOD_GLOO_IFACE", "ib0")
    host.setenv("HOROVOD_GLOO_RENDEZVOUS_ADDR", "10.2.0.1")
    assert queue_host(TWO_HOSTS) == "10.1.0.2"


@pytest.mark.parametrize("interface", ["lo", "six", "gone", ""])
def test_an_interface_of_no_use_is_passed_over(host, interface):
    host.setenv("HOROVOD_GLOO_IFACE", interface)
    host.setenv("HOROVOD_GLOO_RENDEZVOUS_ADDR", "10.2.0.1")
    assert queue_host(TWO_HOSTS) == "10.2.0.2"


def test_srun_tells_where_it_was_started(host):
    host.setenv("SLURM_LAUNCH_NODE_IPADDR", "10.3.0.1")
    assert queue_host(TWO_HOSTS) == "10.3.0.2"


def test_under_mpi_the_default_route_decides(host):
    host.routes[address.ANYWHERE] = "10.4.0.2"
    assert queue_host(TWO_HOSTS) == "10.4.0.2"


def test_then_the_name(host):
    host.patch(socket, "gethostbyname", lambda _: "10.5.0.2")
    assert queue_host(TWO_HOSTS) == "10.5.0.2"


def test_without_any_address_the_message_says_what_to_do(host):
    host.setenv("HOROVOD_GLOO_RENDEZVOUS_ADDR", "127.0.0.1")
    with pytest.raises(RunError, match="--network-interface"):
        queue_host(TWO_HOSTS)


def test_a_name_without_address_is_no_failure_of_its_own(host):
    def unknown(_):
        raise socket.gaierror("unknown")

    host.patch(socket, "gethostbyname", unknown)
    with pytest.raises(RunError, match="no IPv4 address"):
        queue_host(TWO_HOSTS)


def test_the_way_to_this_host_is_its_own_address():
    assert address.source_address("127.0.0.1") == "127.0.0.1"
    assert address.source_address("::1") is None  # no way for IPv4


def test_the_interface_towards_another_host_is_named(host):
    assert address.interface_towards("10.2.0.1") is None  # its address is on no interface
    host.routes["10.1.0.9"] = "10.1.0.2"
    assert address.interface_towards("10.1.0.9") == "ib0"
