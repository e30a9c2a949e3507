"""Limits on measured values, written as ``"<= 500_000"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from xnas_tf.utils.number_format import brief_value

_PATTERN = re.compile(r"\s*(<=|>=)\s*([-+]?[\d_.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Constraint:
    """A bound on a value, whose ``operator`` is ``<=`` or ``>=``."""

    operator: str
    limit: float

    @classmethod
    def parse(cls, text: Any) -> Constraint:
        """Parse text such as ``"<= 500_000"``; return a ``Constraint`` unchanged.

        Raises:
            ValueError: If the text is not a valid limit.
        """
        if isinstance(text, cls):
            return text
        if match := _PATTERN.fullmatch(str(text)):
            with suppress(ValueError):  # such as "1.2.3"
                return cls(match[1], float(match[2]))
        raise ValueError(f'given {text!r}; allowed: "<= NUMBER" or ">= NUMBER", in quotes')

    def violation(self, value: float) -> float:
        """Return the violation of the limit, as a share of the limit; 0 if the limit is met."""
        excess = value - self.limit if self.operator == "<=" else self.limit - value
        return max(0.0, excess) / max(abs(self.limit), 1e-12)

    def __str__(self) -> str:
        return f"{self.operator} {self.limit:.12g}"


def describe_violations(limits: Mapping[str, Constraint], values: Mapping[str, float]) -> str:
    """Describe the limits violated by the values known so far; return "" if there are none."""
    broken = [
        f"{name} is {brief_value(values[name], 6)}, wanted: {limit}"
        for name, limit in limits.items()
        if name in values and limit.violation(values[name])
    ]
    return "; ".join(broken)
