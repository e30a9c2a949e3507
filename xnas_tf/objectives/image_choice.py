"""Which validation images an objective that compares classes looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator


def groups_of_all(groups: np.ndarray, communicator: Communicator) -> np.ndarray:
    """The class of each image of all ranks, (N,), in the order in which they were dealt out.

    Args:
        groups: The class of each of this rank's images: of those with number rank + i · size.
        communicator: The ranks.
    """
    (total,) = communicator.sum(np.array([len(groups)], np.float64))
    whole = np.zeros(int(total[0]))
    whole[communicator.rank :: communicator.size] = groups
    (whole,) = communicator.sum(whole)
    return whole.astype(int)


def balanced_choice(groups: np.ndarray, count: int) -> np.ndarray:
    """The first images of each class, as many of each as there are.

    Class means are compared pair by pair, so images help most where their class has fewest; and
    a class that is rare among all images is not missing among some.

    Args:
        groups: The class of each image, (N,), in random order.
        count: Images chosen, at most.

    Returns:
        The numbers of the chosen ones, ascending. Until ``count`` are chosen, each class gives
        its next image in turn, the class whose next image comes first beginning.
    """
    by_class = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[by_class], groups[by_class])
    place = np.empty(len(groups), int)
    place[by_class] = np.arange(len(groups)) - starts
    return np.sort(np.argsort(place, kind="stable")[:count])
