"""A search space that many tests share."""

from functools import cache

from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace


@cache
def small_cells(channels=2, cells_per_stack=1) -> SearchSpace:
    """Small cells for ``make_dataset()``; a space takes longer to examine than to train."""
    shape, classes = (8, 8, 1), 3
    return SearchSpace(NASBench201(shape, classes, channels, cells_per_stack), shape, classes)
