"""What all ranks check together before the first candidate."""

import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution import rank_agreement
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.job import run_job
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.rank_agreement import check_same_model, on_all_ranks
from xnas_tf.execution.session import opened_session, record_groups
from xnas_tf.storage.run_directory import locked, open_database

TINY = ["dataset=digits", "space={name: nas_bench_201, channels: 2, cells_per_stack: 1}"]


def failures(size, work, kinds=InputError):
    """What each rank raises."""

    def rank(world):
        with pytest.raises(kinds) as raised:
            work(world)
        return str(raised.value)

    return on_ranks(size, rank)


def test_what_fails_on_one_rank_fails_on_all():
    def work(world):
        def mine():
            if world.rank == 1:
                raise InputError("my module is missing")

        on_all_ranks(mine, world)

    assert failures(3, work) == [
        "another rank could not be prepared; see its message",
        "my module is missing",
        "another rank could not be prepared; see its message",
    ]


@pytest.mark.parametrize("failure", [RunError("no space left"), OSError("no space left")])
def test_what_is_no_fault_of_the_input_is_none_on_other_ranks_either(failure):
    def work(world):
        def mine():
            if world.rank == 1:
                raise failure

        on_all_ranks(mine, world)

    assert failures(3, work, (RunError, OSError)) == [
        "another rank could not be prepared; see its message",
        "no space left",
        "another rank could not be prepared; see its message",
    ]


@pytest.mark.parametrize("ranks", [2, *left_to_all(1)])
def test_a_held_run_is_refused_on_all_ranks(tmp_path, ranks):
    config = load_config(overrides=TINY)
    open_database(tmp_path / "run", config).close()

    def work(world):
        run_job(tmp_path / "run", config, world)

    with locked(tmp_path / "run"):
        said = failures(ranks, work)
    assert "another process is searching in" in said[0]
    assert said[1:] == ["another rank could not be prepared; see its message"] * (ranks - 1)


def test_another_configuration_is_refused_with_both_values():
    configs = [load_config(overrides=[*TINY, f"training.epochs={3 + rank}"]) for rank in (0, 1)]
    said = failures(2, lambda world: prepare(configs[world.rank], world, 2))
    assert said[0] == "another rank could not be prepared; see its message"
    assert "rank 1 on " in said[1] and "config.training.epochs: 4 here, on rank 0 3" in said[1]


def test_another_version_is_refused_with_both_versions(monkeypatch):
    import threading

    known = {}

    def versions():
        me = threading.get_ident()
        return {"keras": f"3.{known.setdefault(me, len(known))}"}

    monkeypatch.setattr(rank_agreement, "versions", versions)
    config = load_config(overrides=TINY)
    said = failures(2, lambda world: prepare(config, world, 2))
    assert any("versions.keras: '3." in text and "here, on rank 0" in text for text in said)


def test_other_code_is_refused_with_the_file(monkeypatch):
    """A host may have an old copy of a user's module, which builds other networks."""
    import threading

    known = {}

    def hashes(config, space):
        version = known.setdefault(threading.get_ident(), len(known))
        return {"mine": f"version {version}", f"only on {version}": "x"}

    monkeypatch.setattr(rank_agreement, "shared_hashes", hashes)
    config = load_config(overrides=TINY)
    said = failures(2, lambda world: prepare(config, world, 2))
    assert said[0] == "another rank could not be prepared; see its message"
    assert "rank 1 on " in said[1] and "has other code than rank 0: mine: make sure" in said[1]


def test_ranks_on_ray_differ_from_a_driver_with_other_code():
    """As a rank that replaces another one does if the file has been edited in the meantime."""
    pytest.importorskip("ray")
    from xnas_tf.launcher.ray.rank import different_facts, facts_of

    driver = facts_of("data", {"mine": "one", "helper": "two"})
    assert different_facts(facts_of("data", {"mine": "one", "more": "x"}), driver) == []
    (line,) = different_facts(facts_of("data", {"mine": "other"}), driver)
    assert line == "mine has other code there"


def network(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("seeds", "images", "what"),
    [
        ((0, 1), (20, 20), "model"),
        ((0, 0), (20, 21), "images or labels"),
        ((0, 1), (20, 21), "model and images or labels"),
    ],
)
def test_a_rank_that_loaded_another_model_or_other_data_is_refused(seeds, images, what):
    whole, models = make_dataset(), [network(seed) for seed in seeds]
    tests = [whole.test.select(np.arange(count)) for count in images]

    def check(world):
        data = replace(whole, test=tests[world.rank])
        check_same_model(models[world.rank], data, world)

    first, second = failures(2, check)
    assert "another rank" in first and "rank 1 on " in second
    assert f" does not have the same {what} as rank 0" in second


def test_ranks_that_loaded_the_same_may_begin():
    models = [network(0), network(0)]
    on_ranks(2, lambda world: check_same_model(models[world.rank], make_dataset(), world))


@pytest.mark.long
def test_all_ranks_get_the_same_data_and_space():
    config = load_config(overrides=TINY)
    found = on_ranks(2, lambda world: prepare(config, world, 2))
    (_, first, space), (_, second, _) = found
    assert (first.train.images == second.train.images).all() and space.size == 5**6


def test_a_run_goes_on_with_the_data_that_it_was_begun_with(tmp_path):
    config, world = load_config(overrides=TINY), SingleProcess()
    _, dataset, space = prepare(config, world, 1)
    for _ in range(2):
        with opened_session(tmp_path / "run", config, dataset, space):
            pass
    fewer = replace(dataset, train=dataset.train.take(slice(5, None)))
    with pytest.raises(InputError, match="images.train: 1077 when it began, now 1072"):
        with opened_session(tmp_path / "run", config, fewer, space):
            pass
    mirrored = replace(dataset, mirrored=True)  # the same images, but flipped from now on
    with pytest.raises(InputError, match="random flips: False when it began, now True"):
        with opened_session(tmp_path / "run", config, mirrored, space):
            pass


def test_other_numbers_of_ranks_are_warned_of_because_of_batch_norm(tmp_path):
    class Messages(Callback):
        def on_message(self, text):
            said.append(text)

    said = []
    config = load_config(overrides=TINY)
    _, dataset, space = prepare(config, SingleProcess(), 1)
    for size in (2, 2, 1):
        parts = tmp_path / "run", config, dataset, space
        with opened_session(*parts, make_callbacks=lambda _: [Messages()]) as coordinator:
            record_groups(coordinator, 1, size)
            record_groups(coordinator, 3, size)  # more groups of as many ranks
    (note,) = (text for text in said if "rank" in text)
    assert "each candidate is trained by 1 rank, and earlier ones were trained by 2: Batch" in note


def test_too_few_images_for_a_group_are_refused():
    config = load_config(overrides=[*TINY, "training.batch_size=1"])
    said = failures(2, lambda world: prepare(config, world, 2))
    assert all("in groups of 2 ranks training.batch_size (1)" in text for text in said)


def test_a_module_that_ends_its_process_is_wrong_input():
    """Else the search would end as if it were done."""
    with pytest.raises(InputError, match=r"calls sys.exit\(0\) when it is loaded"):
        on_all_ranks(lambda: sys.exit(0), SingleProcess())
