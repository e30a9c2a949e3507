"""Small data sets for tests."""

import numpy as np

from xnas_tf.data import Dataset, Split


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
