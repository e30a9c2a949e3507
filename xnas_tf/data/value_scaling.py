"""Images of any numeric range as the 256 levels of uint8, in which all images are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xnas_tf.errors import InputError

LEVELS = 255
"""The highest level; the lowest is 0."""
_CHUNK = 2**22
"""Values that are converted at a time, to bound the memory."""
_NARROW = 8.0
"""Levels of standard deviation below which the note advises to clip outliers: images of digits
and photographs have 50 to 90."""
_UNLIKE = 50.0
"""How many times as large the values of one part may be as those of another: the usual mistake,
0 to 255 beside 0 to 1, makes it 255."""


@dataclass(frozen=True)
class Scaling:
    """How values became levels: ``level = round((value - low) * 255 / (high - low))``.

    Attributes:
        low: The value of level 0.
        high: The value of level 255.
        error: The largest rounding error, in the units of the values; 0 if no two different
            values share a level, so that nothing is lost.
        deviation: The standard deviation of all values, in levels.
        highest: The highest level in use.
        is_bytes: Whether the images came as uint8, which are kept as they are.
    """

    low: float = 0.0
    high: float = float(LEVELS)
    error: float = 0.0
    deviation: float = 64.0
    highest: int = LEVELS
    is_bytes: bool = True

    @property
    def is_usual(self) -> bool:
        """Whether the values are on one of the usual scales, 0 to 255 or 0 to 1."""
        return (self.low, self.high) in ((0.0, 255.0), (0.0, 1.0))

    @property
    def rule(self) -> str:
        """What is done to the values until a model sees them."""
        last = "0 to 255 become 0 to 1, inside exported models too"
        if (self.low, self.high) == (0.0, 255.0):
            return f"values {last}"
        return f"values {self.low:.6g} to {self.high:.6g} are stored as 0 to 255; {last}"

    @property
    def notes(self) -> list[str]:
        """What the data's owner should know; nothing for images on a usual scale, without loss."""
        notes = []
        if not self.is_usual or self.error:
            notes.append(
                f"values {self.low:.6g} to {self.high:.6g} are stored as 0 to 255, {self._loss}"
            )
        if self.error and self.deviation < _NARROW:
            notes.append(
                f"the standard deviation of the values is only {self.deviation:.1f} of 255 levels: "
                "a few are far from all others; clip these before"
            )
        if self.is_bytes and self.highest <= LEVELS / 2:
            notes.append(
                f"no value is over {self.highest}, but uint8 images are taken as 0 to 255, so that "
                "networks see them dark; those of another type, such as float32, are scaled"
            )
        return notes

    @property
    def _loss(self) -> str:
        if not self.error:
            return "without loss: different values keep different levels"
        return f"rounded by at most {self.error:.3g} ({self.error / (self.high - self.low):.2%})"


def check_alike(parts: Mapping[str, np.ndarray], name: str) -> None:
    """Raises an ``InputError`` if the values of one part are far larger than those of another,
    as 0 to 255 are beside 0 to 1.

    Args:
        parts: Images of each part, (N, H, W, C).
        name: What the data set is called.
    """
    ranges = {key: _range([images]) for key, images in parts.items() if len(images)}
    largest = {key: max(map(abs, found)) for key, found in ranges.items() if any(found)}
    if not largest or max(largest.values()) <= _UNLIKE * min(largest.values()):
        return
    one, other = (pick(largest, key=largest.__getitem__) for pick in (max, min))
    texts = [f"{key} from {ranges[key][0]:.6g} to {ranges[key][1]:.6g}" for key in (one, other)]
    raise InputError(
        f"data set {name}: values of {' and of '.join(texts)}: give all parts on the same scale"
    )


def as_bytes(arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], Scaling]:
    """Images of one data set as uint8, all by the same rule.

    uint8 images are kept. Others from 0 to 255 or from 0 to 1 are taken to be on that scale if
    they reach over its middle; all others are scaled so that the smallest value of all becomes
    0 and the largest 255.

    Args:
        arrays: Images of any real type, each (N, H, W, C), with finite values.

    Returns:
        The images, and how they were scaled.
    """
    low, high = _scale(arrays)
    tally = _Tally(low, high)
    return [tally.convert(images) for images in arrays], tally.scaling


def _range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    return min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)


def _scale(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """The values of the lowest and the highest level."""
    if all(images.dtype == np.uint8 for images in arrays):
        return 0.0, float(LEVELS)
    low, high = _range(arrays)
    has_floats = any(np.issubdtype(images.dtype, np.floating) for images in arrays)
    for top in (1.0, float(LEVELS)) if has_floats else (float(LEVELS),):
        if low >= 0 and top / 2 <= high <= top:
            return 0.0, top
    return low, high


class _Tally:
    """Converts images, and keeps count of what that changes."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._step = (high - low) / LEVELS or 1.0  # all values may be the same
        self._counts = np.zeros(LEVELS + 1, np.int64)
        self._values = np.full(LEVELS + 1, np.nan)
        self._error, self._is_exact, self._is_bytes = 0.0, True, True

    def convert(self, images: np.ndarray) -> np.ndarray:
        """uint8 images of the same shape."""
        found = np.empty(images.shape, np.uint8)
        for rows in _chunks(images):
            values = images[rows]
            is_kept = values.dtype == np.uint8 and (self._low, self._high) == (0, LEVELS)
            values = values if is_kept else values.astype(np.float64)
            levels = values if is_kept else np.rint((values - self._low) / self._step)
            found[rows] = levels
            self._counts += np.bincount(found[rows].ravel(), minlength=LEVELS + 1)
            if not is_kept:
                self._note(values, levels, found[rows])
        self._is_bytes &= images.dtype == np.uint8
        return found

    def _note(self, values: np.ndarray, levels: np.ndarray, places: np.ndarray) -> None:
        errors = np.abs(self._low + levels * self._step - values)
        self._error = max(self._error, float(errors.max()))
        known = ~np.isnan(self._values)
        found = self._values.copy()
        found[places] = values
        found[known] = self._values[known]
        self._is_exact &= bool((found[places] == values).all())
        self._values = found

    @property
    def scaling(self) -> Scaling:
        """How the images converted so far were scaled."""
        used = np.flatnonzero(self._counts)
        mean = np.average(used, weights=self._counts[used])
        variance = np.average((used - mean) ** 2, weights=self._counts[used])
        return Scaling(
            self._low,
            self._high,
            0.0 if self._is_exact else self._error,
            float(np.sqrt(variance)),
            int(used[-1]),
            bool(self._is_bytes),
        )


def _chunks(images: np.ndarray) -> Iterator[slice]:
    count = max(1, _CHUNK // max(1, int(np.prod(images.shape[1:]))))
    for begin in range(0, len(images), count):
        yield slice(begin, begin + count)
