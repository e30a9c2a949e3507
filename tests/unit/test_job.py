"""What a rank does before and around its work."""

import pytest

from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.job import run_job


def test_a_job_allows_only_its_own_number_of_ranks_a_candidate(tmp_path):
    config = load_config(overrides=["distributed.ranks_per_candidate=2"])
    with pytest.raises(
        InputError, match=r"given 2, but .* \(1\) train each .* distributed\.engine=ray"
    ):
        run_job(tmp_path / "run", config, SingleProcess())
    assert not (tmp_path / "run").exists()
