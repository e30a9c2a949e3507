"""What a rank does before and around its work."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.conftest import make_dataset, on_ranks
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.run import job as module
from xnas_tf.run.job import Job


@pytest.mark.parametrize(
    ("batch", "train", "tried"), [(64, 60, [4, 2, 1]), (3, 60, [2, 1]), (64, 3, [2, 1])]
)
def test_auto_tries_no_group_with_more_ranks_than_images(tmp_path, batch, train, tried):
    config = load_config(overrides=[f"training.batch_size={batch}"])

    def rank(world):
        sizes = []

        def worker(job, source, lead, size):
            sizes.append(size)
            return Trial(world, size)

        job = Job(tmp_path, config, world)
        job._dataset, job._worker = make_dataset(train), worker.__get__(job)
        job._measured_size(None, None)
        return sizes

    assert on_ranks(4, rank) == [tried] * 4


class Trial:
    """A worker whose groups train the faster the smaller they are."""

    def __init__(self, world, size):
        self.group = self
        self.leads = world.rank % size == 0
        self.seconds = size

    def run(self, count):
        return [self.seconds] * count

    def gather(self, name, ranks):
        pass


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

    monkeypatch.setattr(module, "Watch", watch)
    monkeypatch.setattr(module, "prepare", lambda *_: (None, SimpleNamespace(is_built_in=False)))
    monkeypatch.setattr(Job, "_take_lead", lambda *_: None)
    monkeypatch.setattr(Job, "_work", lambda *_: None)
    monkeypatch.delenv("HOROVOD_RANK", raising=False)
    if rank:
        monkeypatch.setenv("HOROVOD_RANK", rank)
    world = SingleProcess()
    world.size = ranks
    Job(tmp_path, load_config(), world).run(fresh=False)
    assert found == [has_launcher]
