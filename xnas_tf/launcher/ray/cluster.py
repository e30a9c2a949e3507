"""The Ray cluster of a search: one that runs, or one of this machine alone."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnas_tf.errors import InputError, RunError
from xnas_tf.registry import describe

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
OBJECT_STORE = 512 * 2**20
"""Bytes for models and checkpoints on their way to the driver; more go to the disk."""
LONGEST = 40
"""Characters of a folder in which the paths of Ray's sockets are not too long for the system."""
_TOKEN = secrets.token_hex(32)
"""Of all clusters that this process starts: Ray reads it once."""
LOCAL_TOKEN = Path("~/.ray/auth_token")
"""Where Ray looks for a token by default."""


@contextmanager
def cluster(address: str | None, insecure: bool = False) -> Iterator[None]:
    """Connects to a Ray cluster, or starts one on this machine, until the block ends.

    Ray lets everyone run code who reaches its ports, unless a token is asked for. A cluster of
    this machine gets a token of its own, in a private file that is deleted at the end.

    Args:
        address: ``HOST:PORT`` of a cluster; ``auto`` looks for one; None starts one.
        insecure: Whether a cluster without a token may be joined.

    Raises:
        InputError: If Ray is not installed, or there is no token.
        RunError: If the cluster cannot be reached or started.
    """
    if address and not insecure and not _has_token():
        raise InputError(
            f"--address {address}: there is no token in {', '.join(TOKENS)} or {LOCAL_TOKEN}, and "
            "without one everybody who reaches its ports can run code on the cluster; allowed: "
            "the token that the cluster was started with (docs/distributed.md), or --insecure"
        )
    with (
        # Ray does not wait for its processes, which may still write.
        tempfile.TemporaryDirectory(prefix="xnas-tf-ray-", ignore_cleanup_errors=True) as folder,
        _variables(_security(Path(folder), address, insecure)),
    ):
        ray = _import_ray()
        options = {} if address else _local_options(folder)
        try:
            # Without an address Ray would look for a cluster that someone else started.
            ray.init(address or "local", log_to_driver=False, logging_level="warning", **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = f"Ray at {address}" if address else "a Ray of this machine"
            raise RunError(f"{where} cannot be reached: {describe(error)}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _import_ray():
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "several groups of ranks need the package ray, which is not installed: "
            "pip install ray, or run bin/setup; --engine local is one process"
        ) from error
    return ray


def _local_options(folder: str) -> dict[str, object]:
    """Those of a cluster for one search: its logs and sockets are nobody else's business."""
    options: dict[str, object] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    # A folder within: Ray opens its own to everybody.
    return {**options, "_temp_dir": f"{folder}/ray"} if len(folder) < LONGEST else options


def _has_token() -> bool:
    return any(name in os.environ for name in TOKENS) or LOCAL_TOKEN.expanduser().exists()


def _security(folder: Path, address: str | None, insecure: bool) -> dict[str, str]:
    """Variables that Ray reads when it is imported."""
    known = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Else a rank without a GPU of its own would hide those that it shares.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if address and insecure and not _has_token():
        return known
    known["RAY_AUTH_MODE"] = "token"
    if not address:
        token = folder / "token"  # the folder is this user's alone
        token.touch(0o600)
        token.write_text(_TOKEN)
        known["RAY_AUTH_TOKEN_PATH"] = str(token)
    return known


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
