"""How many ranks train one candidate together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xnas_tf.distributed import Communicator, check_size, divisors

Trial = Callable[[int, int], Sequence[float]]
"""``trial(size, count)``: evaluates so many candidates in groups of a size; returns how many
seconds each took this rank's group, nothing on ranks that don't lead one."""


def wanted_size(wanted: int | str, ranks: int) -> int | None:
    """The size that the configuration asks for; None if it is to be measured.

    Raises:
        InputError: If the ranks cannot be split so.
    """
    if wanted == "auto" and ranks > 1:
        return None
    size = wanted if isinstance(wanted, int) else ranks
    check_size(size, ranks)
    return size


def measure_size(world: Communicator, trial: Trial, limit: int) -> tuple[int, str]:
    """Tries the largest groups, then smaller and smaller ones as long as that yields more.

    What is tried are the first candidates of the search; their values count.

    Args:
        world: All ranks.
        trial: Tries a size.
        limit: Ranks that a group may have at most.

    Returns:
        The size of the groups that trained most candidates an hour, and why it was chosen.
    """
    rates: dict[int, float] = {}
    for size in (size for size in reversed(divisors(world.size)) if size <= limit):
        # The first training of all also warms up TensorFlow, and is not counted.
        seconds = trial(size, 1 if rates else 2)
        mine = 3600 / seconds[-1] if seconds else 0.0
        (rate,) = world.sum(np.array(mine))
        rates[size] = float(rate)
        if rates[size] < max(rates.values()):
            break
    best = max(rates, key=rates.__getitem__)
    figures = ", ".join(f"{rate:.0f} by groups of {size}" for size, rate in rates.items())
    return best, f"candidates an hour: {figures}"
