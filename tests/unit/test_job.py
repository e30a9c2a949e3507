"""What a rank does before and around its work."""

import random
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from xnas_tf.config import Config, load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution import joining
from xnas_tf.execution.job import run_job


def test_a_job_allows_only_its_own_number_of_ranks_a_candidate(tmp_path):
    config = load_config(overrides=["distributed.ranks_per_candidate=2"])
    with pytest.raises(
        InputError, match=r"given 2, but .* \(1\) train each .* distributed\.engine=ray"
    ):
        run_job(tmp_path / "run", config, SingleProcess())
    assert not (tmp_path / "run").exists()


def test_a_search_does_not_seed_what_its_caller_draws_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "joined", lambda *_: nullcontext(SingleProcess()))

    def drawn():
        return random.random(), np.random.random()

    keras.utils.set_random_seed(1)
    expected = drawn()
    keras.utils.set_random_seed(1)
    with joining.joined_ranks(tmp_path, Config()):
        keras.utils.set_random_seed(7)  # as for each candidate
    assert drawn() == expected
