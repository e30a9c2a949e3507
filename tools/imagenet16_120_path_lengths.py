"""Writes the lengths of paths between the classes of ImageNet-16-120 in WordNet 3.0.

    python tools/imagenet16_120_path_lengths.py CLASSES \
        > xnas_tf/objectives/imagenet16_120_path_lengths.csv

CLASSES has a line for each class with its id and its name, such as `n02119789 kit_fox`. The
installed database is used: Debian's package wordnet-base, or the folder in WNSEARCHDIR.
"""

import sys
from pathlib import Path

from xnas_tf.objectives.wordnet import WordNet

HEADER = """\
# Lengths of the shortest paths between the classes of ImageNet-16-120 in WordNet 3.0, made by
# tools/imagenet16_120_path_lengths.py: id, name, and the length to each class in the same order.
# WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. See WORDNET_LICENSE.
"""


def main(classes: str) -> None:
    ids, names = zip(*map(str.split, Path(classes).read_text().splitlines()), strict=True)
    print(HEADER, end="")
    for line in zip(ids, names, WordNet().path_lengths(list(ids)), strict=True):
        print(*line[:2], *line[2], sep=",")


if __name__ == "__main__":
    main(*sys.argv[1:])
