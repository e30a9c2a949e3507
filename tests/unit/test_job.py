"""What a rank does before and around its work."""

import random
from contextlib import nullcontext
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from xnas_tf.config import Config, load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution import job_context
from xnas_tf.execution.job import run_job
from xnas_tf.execution.preparation import left_out_images


def test_a_job_allows_only_its_own_number_of_ranks_a_candidate(tmp_path):
    config = load_config(overrides=["distributed.ranks_per_candidate=2"])
    with pytest.raises(
        InputError, match=r"given 2, but .* \(1\) train each .* distributed\.engine=ray"
    ):
        run_job(tmp_path / "run", config, SingleProcess())
    assert not (tmp_path / "run").exists()


def test_a_search_does_not_seed_what_its_caller_draws_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(job_context, "joined", lambda *_: nullcontext(SingleProcess()))

    def drawn():
        return random.random(), np.random.random()

    keras.utils.set_random_seed(1)
    expected = drawn()
    keras.utils.set_random_seed(1)
    with job_context.joined_ranks(tmp_path, Config()):
        keras.utils.set_random_seed(7)  # as for each candidate
    assert drawn() == expected


@pytest.mark.parametrize(
    ("images", "size", "used"),
    [(90, 48, "48 of the 90"), (96, 48, ""), (100, 48, ""), (40, 48, "")],
)
def test_images_that_fill_no_batch_are_not_left_out_silently(images, size, used):
    config = load_config(overrides=[f"training.batch_size={size}"])
    dataset = SimpleNamespace(train=range(images))
    notes = left_out_images(config, dataset, SimpleNamespace(has_fit=False))
    assert len(notes) == bool(used) and all(used in note for note in notes)
    assert left_out_images(config, dataset, SimpleNamespace(has_fit=True)) == []
