"""Groups of ranks: each trains one candidate while the others train others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from xnas_tf.distributed.communicator import Communicator, SingleProcess
from xnas_tf.errors import InputError


@dataclass(frozen=True)
class Group:
    """The group that this rank belongs to.

    Attributes:
        number: Which one, from 0; ranks that follow each other are together, so that a
            group spans as few hosts as possible.
        count: How many groups there are.
        ranks: Those of this group; rank 0 of them leads it.
    """

    number: int
    count: int
    ranks: Communicator

    @property
    def leads(self) -> bool:
        """Whether this rank leads its group."""
        return self.ranks.rank == 0


def join_group(world: Communicator, size: int) -> Group:
    """Splits all ranks into groups; every rank calls it at the same time.

    Args:
        world: All ranks.
        size: Ranks in a group; see ``check_size``.
    """
    number, count = world.rank // size, world.size // size
    if count == 1:
        return Group(0, 1, world)
    if size == 1:
        return Group(number, count, SingleProcess())
    from xnas_tf.distributed.horovod import HorovodCommunicator

    return Group(number, count, HorovodCommunicator(_process_sets(world.size, size)[number]))


def check_size(size: int, ranks: int) -> None:
    """Checks that a number of ranks can be split into groups of a size.

    Raises:
        InputError: If they cannot; lists the sizes that they can be split into.
    """
    if size not in divisors(ranks):
        allowed = ", ".join(map(str, divisors(ranks)))
        raise InputError(
            f"distributed.ranks_per_candidate: given {size}, but there are {ranks} ranks; "
            f"allowed: {allowed}, all or auto"
        )


def divisors(number: int) -> list[int]:
    """The whole numbers that divide one, the smallest first."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


@cache
def _process_sets(ranks: int, size: int) -> list:
    """Horovod's process sets; once added they stay, and may not be added twice."""
    import horovod.tensorflow as hvd

    # Every rank must add all of them, in the same order.
    starts = range(0, ranks, size)
    return [hvd.add_process_set(list(range(start, start + size))) for start in starts]
