"""Folders of small image files for tests."""

import numpy as np
from PIL import Image

FORMATS = ("png", "jpg", "bmp", "gif", "webp")


def picture(label, number, size=(12, 12)):
    """An image whose class is shown by its colour, and whose noise is its own."""
    rng = np.random.default_rng([label, number])
    pixels = rng.integers(0, 60, (*size, 3), np.uint8)
    pixels[..., label % 3] += 120
    return Image.fromarray(pixels)


def make_folder(root, counts, size=(12, 12), formats=FORMATS):
    """A folder for each class with so many images, of several formats."""
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            file = root / name / f"{number:03d}.{formats[number % len(formats)]}"
            picture(label, number, size).save(file)
    return root


def spoil(root):
    """Adds three corrupt files, other sizes, a grey image and an empty class, to classes cat
    and dog; returns the corrupt ones."""
    whole = (root / "cat" / "000.png").read_bytes()
    (root / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "cat" / "nothing.jpg").write_bytes(b"")
    (root / "dog" / "text.png").write_text("no image at all")
    picture(0, 90, (24, 24)).save(root / "cat" / "large.png")
    picture(0, 91, (10, 40)).save(root / "cat" / "wide.png")
    picture(1, 92).convert("L").save(root / "dog" / "grey.png")
    (root / "unicorn").mkdir()
    return ["cat/cut.png", "cat/nothing.jpg", "dog/text.png"]
