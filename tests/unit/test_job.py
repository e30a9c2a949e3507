"""What a rank does before and around its work."""

from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution import job as module
from xnas_tf.execution.job import Job


def test_a_job_allows_only_its_own_number_of_ranks_a_candidate(tmp_path):
    config = load_config(overrides=["distributed.ranks_per_candidate=2"])
    with pytest.raises(InputError, match=r"given 2, but .*, 1, train each .* --engine ray"):
        Job(tmp_path / "run", config, SingleProcess()).run(fresh=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("ranks", "rank", "has_launcher"), [(1, None, False), (1, "0", True), (2, None, True)]
)
def test_whatever_a_launcher_started_must_not_outlive_it(
    tmp_path, monkeypatch, ranks, rank, has_launcher
):
    """A single rank may be on another host than its launcher, too."""
    found = []

    def watch(stall_seconds, has_launcher):
        found.append(has_launcher)
        return nullcontext()

    monkeypatch.setattr(module, "Watchdog", watch)
    monkeypatch.setattr(module, "prepare", lambda *_: (None, SimpleNamespace(is_built_in=False)))
    monkeypatch.setattr(Job, "_session", lambda *_: None)
    monkeypatch.setattr(Job, "_evaluator", lambda *_: None)
    monkeypatch.setattr(module, "Worker", Mock())
    monkeypatch.delenv("HOROVOD_RANK", raising=False)
    if rank:
        monkeypatch.setenv("HOROVOD_RANK", rank)
    world = SingleProcess()
    world.size = ranks
    Job(tmp_path, load_config(), world).run(fresh=False)
    assert found == [has_launcher]
