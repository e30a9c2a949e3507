"""Collecting and choosing the validation images that an objective uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator


def gathered(values: np.ndarray, communicator: Communicator) -> np.ndarray:
    """Return an integer for each image of all ranks, (N,), in the original order.

    ``values`` are integers or booleans of this rank's images: image i is number rank + i * size.
    """
    (total,) = communicator.sum(np.array([len(values)], np.float64))
    combined = np.zeros(int(total[0]))
    combined[communicator.rank :: communicator.size] = values
    (combined,) = communicator.sum(combined)
    return combined.astype(int)


def balanced_choice(groups: np.ndarray, count: int) -> np.ndarray:
    """Choose up to ``count`` images, the first of each class, equally many if possible.

    Class means are compared pair by pair, so an image helps most in the smallest class. A class
    that is rare among all images is also less likely to be missing among the chosen ones. The
    classes contribute their next image in turn; in each round the earlier image comes first.

    Args:
        groups: The class of each image, (N,), in random order.
        count: Maximum number of images to choose.

    Returns:
        The indices of the chosen images, ascending.
    """
    by_class = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[by_class], groups[by_class])
    index_in_class = np.empty(len(groups), int)
    index_in_class[by_class] = np.arange(len(groups)) - starts
    return np.sort(np.argsort(index_in_class, kind="stable")[:count])
