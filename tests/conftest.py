"""Shared fixtures. Everything tests write goes into temporary folders."""

from xnas_tf.environment import set_defaults

set_defaults()

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from xnas_tf.data import Dataset, Part  # noqa: E402


def make_dataset(count=60, shape=(8, 8, 1), classes=3, seed=0, mirrored=False) -> Dataset:
    """Images whose class is shown by which rows are bright: easy to learn."""
    rng = np.random.default_rng(seed)

    def part(size):
        labels = (np.arange(size) % classes).astype(np.int32)
        images = rng.integers(0, 60, (size, *shape))
        for image, label in zip(images, labels, strict=True):
            image[label * 2 : label * 2 + 2] += 180
        return Part(images.astype(np.uint8), labels)

    names = tuple(f"class {i}" for i in range(classes))
    return Dataset("stripes", names, part(count), part(30), part(30), mirrored)


@pytest.fixture
def dataset():
    """Three classes of 8x8 grey images."""
    return make_dataset()
