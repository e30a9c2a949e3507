"""Small data sets and runs for tests."""

from contextlib import closing

import numpy as np

from xnas_tf.config import load_config
from xnas_tf.data import Dataset, Split, load_dataset
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import open_database


def make_dataset(count=60, shape=(8, 8, 1), classes=3, seed=0, mirrored=False) -> Dataset:
    """Images whose class is shown by which rows are bright: easy to learn."""
    rng = np.random.default_rng(seed)

    def part(size):
        labels = (np.arange(size) % classes).astype(np.int32)
        images = rng.integers(0, 60, (size, *shape))
        for image, label in zip(images, labels, strict=True):
            image[label * 2 : label * 2 + 2] += 180
        return Split(images.astype(np.uint8), labels)

    names = tuple(f"class {i}" for i in range(classes))
    return Dataset("stripes", names, part(count), part(30), part(30), mirrored)


def searched(path, dataset) -> Run:
    """A run on this data set, whose search has begun."""
    config = load_config(overrides=[f"dataset={dataset}"])
    data = load_dataset(**config.dataset.model_dump())
    limits = [data.scaling.low, data.scaling.high]
    return saved_run(path, config, dataset=data.facts, value_range=limits)


def saved_run(path, config, candidates=(), **facts) -> Run:
    """A run with these candidates and facts, which may have others already."""
    with closing(open_database(path, config)) as record:
        for candidate in candidates:
            record.save(candidate)
        for name, fact in facts.items():
            record.set_fact(name, fact)
    return Run(path)
