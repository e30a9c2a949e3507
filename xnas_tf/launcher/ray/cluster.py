"""A search's Ray cluster: an existing one, or one started on this machine."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xnas_tf.errors import InputError, RunError
from xnas_tf.registry import describe

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
OBJECT_STORE = 512 * 2**20
"""Bytes for models and checkpoints on their way to the driver; any excess goes to the disk."""
MAX_FOLDER_LENGTH = 40
"""Maximum length of a folder's path for which the paths of Ray's sockets are short enough."""
_TOKEN = secrets.token_hex(32)
"""The token of all clusters that this process starts, because Ray reads it only once."""
LOCAL_TOKEN = Path("~/.ray/auth_token")
"""Where Ray looks for a token by default."""


@contextmanager
def cluster(address: str | None, insecure: bool = False) -> Iterator[None]:
    """Inside the context, connect to a Ray cluster, or start one on this machine.

    Anyone who can reach Ray's ports can run code, unless a token is required. A cluster on this
    machine gets its own token, stored in a private file that is deleted at the end.

    Args:
        address: ``HOST:PORT`` of a cluster; ``auto`` looks for one; None starts one.
        insecure: Whether to allow joining a cluster without a token.

    Raises:
        InputError: If Ray is not installed, or there is no token.
        RunError: If the cluster cannot be reached or started.
    """
    if address and not insecure and not _has_token():
        raise InputError(
            f"`address` {address}: there is no token in {', '.join(TOKENS)} or {LOCAL_TOKEN}, and "
            "without one anyone who can reach its ports can run code on the cluster; allowed: "
            "the token that the cluster was started with (docs/how-to/scaling.md), or "
            "`insecure`"
        )
    with (
        # Ray does not wait for its processes, which may still be writing.
        tempfile.TemporaryDirectory(prefix="xnas-tf-ray-", ignore_cleanup_errors=True) as folder,
        _environment(_security(Path(folder), address, insecure)),
    ):
        try:
            import ray
        except ImportError as error:
            raise InputError(
                "several groups of ranks need the package ray, which is not installed: "
                "pip install ray, or run bin/setup; distributed.engine=local uses one process"
            ) from error
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
        if not address:
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
            if len(folder) < MAX_FOLDER_LENGTH:  # private logs and sockets
                options["_temp_dir"] = f"{folder}/ray"  # Ray makes it readable for everyone
        try:
            # Without an address Ray would look for an existing cluster.
            ray.init(address or "local", **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = f"Ray at {address}" if address else "Ray on this machine"
            raise RunError(f"{where} cannot be reached: {describe(error)}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _has_token() -> bool:
    return any(name in os.environ for name in TOKENS) or LOCAL_TOKEN.expanduser().exists()


def _security(folder: Path, address: str | None, insecure: bool) -> dict[str, str]:
    variables = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Otherwise, GPUs that ranks share would be hidden from them.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if address and insecure and not _has_token():
        return variables
    variables["RAY_AUTH_MODE"] = "token"
    if not address:
        token = folder / "token"  # only this user can read the folder
        token.touch(0o600)
        token.write_text(_TOKEN)
        variables["RAY_AUTH_TOKEN_PATH"] = str(token)
    return variables


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
