"""Converts images of any numeric range to uint8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xnas_tf.errors import InputError

LEVELS = 255
"""The highest level; the lowest is 0."""
_CHUNK = 2**22
"""Number of values that are converted at a time, to limit memory."""
_NARROW = 8.0
"""Standard deviation in levels below which a note advises to clip outliers. Images of digits and
photographs have 50 to 90."""
_UNLIKE = 50.0
"""Maximum ratio of the values of two splits. The usual mistake, one with values from 0 to 255 and
one from 0 to 1, has 255."""


@dataclass(frozen=True)
class Scaling:
    """How values were converted: ``level = round((value - low) * 255 / (high - low))``.

    Attributes:
        low: The value of level 0.
        high: The value of level 255.
        error: The largest rounding error, in the units of the values; 0 if different values have
            different levels, so that no information is lost.
        deviation: The standard deviation of all values, in levels.
        highest: The highest level that occurs.
        is_bytes: Whether the images were uint8 and are unchanged.
    """

    low: float = 0.0
    high: float = float(LEVELS)
    error: float = 0.0
    deviation: float = 64.0
    highest: int = LEVELS
    is_bytes: bool = True

    @property
    def is_usual(self) -> bool:
        """Whether the values have one of the usual scales, 0 to 255 or 0 to 1."""
        return (self.low, self.high) in ((0.0, 255.0), (0.0, 1.0))

    @property
    def rule(self) -> str:
        """Description of all scaling between the values and a model's input."""
        last = "0 to 255 become 0 to 1, inside exported models too"
        if (self.low, self.high) == (0.0, 255.0):
            return f"values {last}"
        return f"values {self.low:.6g} to {self.high:.6g} are stored as 0 to 255; {last}"

    @property
    def notes(self) -> list[str]:
        """Warnings for the user; none for images on a usual scale without loss."""
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
                f"no value is over {self.highest}, but uint8 images are taken as 0 to 255, so they "
                "are dark; images of another type, such as float32, are scaled"
            )
        return notes

    @property
    def _loss(self) -> str:
        if not self.error:
            return "without loss: different values keep different levels"
        return f"rounded by at most {self.error:.3g} ({self.error / (self.high - self.low):.2%})"


def check_alike(parts: Mapping[str, np.ndarray], name: str) -> None:
    """Check that the values of no split are far larger than those of another.

    Args:
        parts: Images of each split, (N, H, W, C).
        name: Name of the data set, for messages.

    Raises:
        InputError: If they are, like values from 0 to 255 and from 0 to 1.
    """
    ranges = {key: _range([images]) for key, images in parts.items() if len(images)}
    largest = {key: max(map(abs, found)) for key, found in ranges.items() if any(found)}
    if not largest or max(largest.values()) <= _UNLIKE * min(largest.values()):
        return
    one, other = (pick(largest, key=largest.__getitem__) for pick in (max, min))
    texts = [f"{key} from {ranges[key][0]:.6g} to {ranges[key][1]:.6g}" for key in (one, other)]
    raise InputError(
        f"data set {name}: values of {' and of '.join(texts)}: give all splits on the same scale"
    )


def as_bytes(arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], Scaling]:
    """Convert the images of a data set to uint8, all by the same rule.

    uint8 images are unchanged. Values from 0 to 255 or from 0 to 1 keep that scale if the
    largest is in its upper half. Otherwise, the smallest of all values becomes 0 and the largest
    255.

    Args:
        arrays: Images of any real type, each (N, H, W, C), with finite values.

    Returns:
        The images, and how they were scaled.
    """
    converter = _Converter(*_scale(arrays))
    return [converter.convert(images) for images in arrays], converter.scaling


def _range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    return min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)


def _scale(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the values of the lowest and the highest level."""
    if all(images.dtype == np.uint8 for images in arrays):
        return 0.0, float(LEVELS)
    low, high = _range(arrays)
    has_floats = any(np.issubdtype(images.dtype, np.floating) for images in arrays)
    for top in (1.0, float(LEVELS)) if has_floats else (float(LEVELS),):
        if low >= 0 and top / 2 <= high <= top:
            return 0.0, top
    return low, high


class _Converter:
    """Converts images, and records what is lost."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._step = (high - low) / LEVELS or 1.0  # all values may be the same
        self._counts = np.zeros(LEVELS + 1, np.int64)
        self._values = np.full(LEVELS + 1, np.nan)
        self._error, self._is_exact, self._is_bytes = 0.0, True, True

    def convert(self, images: np.ndarray) -> np.ndarray:
        """Return the images as uint8."""
        converted = np.empty(images.shape, np.uint8)
        is_kept = images.dtype == np.uint8 and (self._low, self._high) == (0, LEVELS)
        for rows in _chunks(images):
            if is_kept:
                converted[rows] = images[rows]
            else:
                values = images[rows].astype(np.float64)
                levels = np.rint((values - self._low) / self._step)
                converted[rows] = levels
                self._record_loss(values, levels, converted[rows])
            self._counts += np.bincount(converted[rows].ravel(), minlength=LEVELS + 1)
        self._is_bytes &= images.dtype == np.uint8
        return converted

    def _record_loss(self, values: np.ndarray, levels: np.ndarray, indices: np.ndarray) -> None:
        errors = np.abs(self._low + levels * self._step - values)
        self._error = max(self._error, float(errors.max()))
        known = ~np.isnan(self._values)
        values_of = self._values.copy()  # one value of each level
        values_of[indices] = values
        values_of[known] = self._values[known]
        self._is_exact &= bool((values_of[indices] == values).all())
        self._values = values_of

    @property
    def scaling(self) -> Scaling:
        """How the images were converted so far."""
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
