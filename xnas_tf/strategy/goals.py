"""What a search optimises, as the algorithms see it: any configuration has these attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from xnas_tf.strategy.constraints import Constraint
from xnas_tf.strategy.options import SearchOptions


class Goal(Protocol):
    """An objective: its name, and 1 where less is better, -1 where more is."""

    @property
    def name(self) -> str:
        """The objective's name."""

    @property
    def sign(self) -> int:
        """1 to minimise, -1 to maximise."""


class Goals(Protocol):
    """The objectives, the constraints and the options of a search."""

    @property
    def objectives(self) -> Sequence[Goal]:
        """The objectives, at least one."""

    @property
    def constraints(self) -> Mapping[str, Constraint]:
        """Limits by the name of what is measured."""

    @property
    def search(self) -> SearchOptions:
        """The search's options."""
