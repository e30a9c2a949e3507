"""How ranks are split into groups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import on_ranks
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess, divisors, join_group
from xnas_tf.errors import InputError
from xnas_tf.run.group_size import measure_size, wanted_size


@given(st.integers(1, 64), st.integers(1, 64))
def test_only_sizes_that_divide_the_ranks_are_taken(size, ranks):
    if ranks % size == 0:
        assert wanted_size(size, ranks) == size
    else:
        with pytest.raises(InputError, match=f"given {size}, but there are {ranks} ranks"):
            wanted_size(size, ranks)


def test_the_valid_sizes_are_listed():
    with pytest.raises(InputError, match="allowed: 1, 2, 4, 8, all or auto"):
        wanted_size(3, 8)
    assert wanted_size("all", 8) == 8 and wanted_size("auto", 8) is None
    assert wanted_size("auto", 1) == 1
    assert divisors(12) == [1, 2, 3, 4, 6, 12]


@pytest.mark.parametrize("value", ["0", "-1", "some", "1.5"])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(InputError, match="distributed.ranks_per_candidate"):
        load_config(overrides=[f"distributed.ranks_per_candidate={value}"])


def measured(ranks, seconds, limit=64):
    """What 'auto' chooses on ranks that are threads, and what it tried."""
    tried = []

    def rank(world):
        def trial(size, count):
            if world.rank == 0:
                tried.append((size, count))
            is_leader = world.rank % size == 0
            return [99.0] * (count - 1) + [seconds[size]] if is_leader else []

        return measure_size(world, trial, limit)

    found = on_ranks(ranks, rank)
    assert len(set(found)) == 1  # all ranks agree
    return found[0], tried


def test_auto_takes_what_yields_most_and_says_why():
    (size, why), tried = measured(8, {8: 1.0, 4: 1.2, 2: 3.0, 1: 9.0})
    # candidates an hour: 3600, 2 * 3000, 4 * 1200, and 1 is not tried any more
    assert size == 4 and tried == [(8, 2), (4, 1), (2, 1)]
    assert why == (
        "candidates an hour: 3600 by groups of 8, 6000 by groups of 4, 4800 by groups of 2"
    )


def test_auto_goes_down_to_single_ranks_where_that_pays():
    assert measured(4, {4: 1.0, 2: 1.0, 1: 1.1})[0][0] == 1


def test_auto_tries_only_groups_that_fit():
    (size, why), tried = measured(8, {2: 1.0, 1: 9.0}, limit=3)
    assert size == 2 and tried == [(2, 2), (1, 1)]
    assert measured(8, {1: 1.0}, limit=1) == (
        (1, "candidates an hour: 28800 by groups of 1"),
        [(1, 2)],
    )


def test_one_group_is_all_ranks():
    world = SingleProcess()
    group = join_group(world, 1)
    assert (group.number, group.count, group.ranks, group.leads) == (0, 1, world, True)
