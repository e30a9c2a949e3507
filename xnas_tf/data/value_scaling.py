"""Converts images of any numeric range to uint8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from xnas_tf.errors import InputError

LEVELS = 255
"""The highest level; the lowest is 0."""
_CHUNK = 2**22
"""Number of values that are processed at a time, to limit memory use."""
_NARROW = 8.0
"""Standard deviation in levels below which a note recommends clipping outliers. Images of digits
and photographs have 50 to 90."""
UNLIKE = 50.0
"""Maximum ratio between the values of two splits. The usual mistake, values from 0 to 255 in one
and from 0 to 1 in the other, gives a ratio of 255."""
_DOUBTFUL = 12.0
"""Ratio between the values of two splits above which a note asks whether they are on one scale. 8
bits in one split and 12 bits in the other give a ratio of 16."""

_SIGNED = 0.1
"""Values count as signed if the lowest is below minus this share of the highest."""


@dataclass(frozen=True)
class Scaling:
    """Conversion of values to levels; see ``conversion_text`` for the formula.

    Attributes:
        low: The value that becomes level 0.
        high: The value that becomes level 255.
        error: The largest rounding error, in the units of the values; 0 if different values have
            different levels, so that no information is lost.
        deviation: The standard deviation of all converted values, in levels.
        highest: Highest value of images that were already uint8 and stay unchanged.
        remarks: Further notes on the values.
    """

    low: float = 0.0
    high: float = float(LEVELS)
    error: float = 0.0
    deviation: float = 64.0
    highest: int = LEVELS
    remarks: tuple[str, ...] = ()

    @property
    def is_usual(self) -> bool:
        """Whether the values use one of the usual scales, 0 to 255 or 0 to 1."""
        return (self.low, self.high) in ((0.0, 255.0), (0.0, 1.0))

    @property
    def rule(self) -> str:
        """Description of how values are scaled before they reach a model's input."""
        last = "0 to 255 become 0 to 1, inside exported models too"
        if (self.low, self.high) == (0.0, 255.0):
            return f"values {last}"
        outside = "" if self.is_usual else " (values outside are cut off)"
        return f"values {self.low:.6g} to {self.high:.6g} are stored as 0 to 255{outside}; {last}"

    @property
    def notes(self) -> list[str]:
        """Warnings for the user; none if the images have a usual scale and nothing is lost."""
        notes = [*self.remarks]
        if self.low == self.high:
            notes.append(f"all values are {self.low:.6g}")
        elif not self.is_usual or self.error:
            loss = "without loss: different values keep different levels"
            if self.error:
                share = self.error / (self.high - self.low)
                loss = f"rounded by at most {self.error:.3g} ({share:.2%})"
            notes.append(f"values {self.low:.6g} to {self.high:.6g} are stored as 0 to 255, {loss}")
        if self.error and self.deviation < _NARROW:
            notes.append(
                f"the standard deviation of the values is only {self.deviation:.1f} of 255 levels: "
                "a few values are far from all others; clip them first"
            )
        if self.highest <= LEVELS / 2:
            notes.append(
                f"no value is above {self.highest}, but 8-bit images should range from 0 to 255, "
                "so these are dark; arrays of other types, such as float32, are scaled"
            )
        return notes


def check_alike(splits: Mapping[str, np.ndarray], name: str) -> tuple[str, ...]:
    """Return notes if splits have values of different sizes or signs.

    Raises:
        InputError: If the values of one split are far larger than those of another, for example 0
            to 255 instead of 0 to 1.
    """
    ranges = {split: _range(images) for split, images in splits.items()}
    texts = {
        split: f"{split} from {low:.6g} to {high:.6g}" for split, (low, high) in ranges.items()
    }
    largest = {split: max(map(abs, found)) for split, found in ranges.items() if any(found)}
    remarks = []
    if largest and max(largest.values()) > _DOUBTFUL * min(largest.values()):
        one, other = (pick(largest, key=largest.__getitem__) for pick in (max, min))
        text = f"values of {texts[one]} and of {texts[other]}"
        if largest[one] > UNLIKE * largest[other]:
            raise InputError(f"data set {name}: {text}: use the same scale in all splits")
        remarks = [f"{text}: are they on the same scale?"]
    is_signed = {low < -_SIGNED * abs(high) for low, high in ranges.values() if low or high}
    if len(is_signed) > 1:
        remarks.append(f"only some splits have values below zero: {', '.join(texts.values())}")
    return tuple(remarks)


def as_bytes(images: np.ndarray) -> tuple[np.ndarray, Scaling]:
    """Convert images (N, H, W, C) with finite values of any real type to uint8.

    uint8 images are unchanged. Values from 0 to 255 or from 0 to 1 keep that scale if the largest
    value is in its upper half. Values up to half a level outside the scale, which float arithmetic
    can produce, become the first or the last level. Otherwise, the smallest value becomes 0 and the
    largest becomes 255.
    """
    if images.dtype == np.uint8:
        return images, Scaling(highest=int(images.max()))
    low, high = _scale(images)
    step = _step(low, high)
    converted = np.empty(images.shape, np.uint8)
    counts = np.zeros(LEVELS + 1, np.int64)
    value_of = np.full(LEVELS + 1, np.nan)  # the first value of each level
    error, is_exact = 0.0, True
    for rows in chunks(images):
        values = images[rows].astype(np.float64)
        rounded = levels_between(values, low, high)
        error = max(error, float(np.abs(low + rounded * step - values).max()))
        converted[rows] = levels = rounded.astype(np.uint8)
        counts += np.bincount(levels.ravel(), minlength=LEVELS + 1)
        is_new = np.isnan(value_of[levels])
        value_of[levels[is_new]] = values[is_new]
        is_exact &= bool((value_of[levels] == values).all())
    variance = np.cov(np.arange(LEVELS + 1), fweights=counts, ddof=0)
    return converted, Scaling(low, high, 0.0 if is_exact else error, float(np.sqrt(variance)))


def levels_between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Convert values to float64 levels: 0 for ``low`` and below, 255 for ``high`` and above."""
    return np.rint((values.astype(np.float64) - low) / _step(low, high)).clip(0, LEVELS)


def conversion_text(low: float, high: float) -> str:
    """Return NumPy code that converts values x as ``Run.stored_images`` does, bit for bit.

    Without ``np.clip``, values outside would wrap around when they become uint8.
    """
    step = "((high - low) / 255)" if high > low else "1"
    return (
        f"np.clip(np.rint((x.astype(float) - low) / {step}), 0, 255).astype(np.uint8), with "
        f"low = {_exact(low)} and high = {_exact(high)}"
    )


def _exact(value: float) -> str:
    """Return the shortest text that becomes the same float again."""
    return repr(float(value)).removesuffix(".0")


def _step(low: float, high: float) -> float:
    return (high - low) / LEVELS or 1.0  # all values may be the same


def _range(images: np.ndarray) -> tuple[float, float]:
    return float(images.min()), float(images.max())


def _scale(images: np.ndarray) -> tuple[float, float]:
    """Return the values of the lowest and the highest level."""
    low, high = _range(images)
    is_real = np.issubdtype(images.dtype, np.floating)
    for top in (1.0, float(LEVELS)) if is_real else (float(LEVELS),):
        beyond = top / LEVELS / 2 if is_real else 0.0
        if low >= -beyond and top / 2 <= high <= top + beyond:
            return 0.0, top
    return low, high


def chunks(images: np.ndarray) -> Iterator[slice]:
    """Yield the rows of images to process at a time."""
    count = max(1, _CHUNK // max(1, int(np.prod(images.shape[1:]))))
    for begin in range(0, len(images), count):
        yield slice(begin, begin + count)
