"""What a search optimises: the attributes of a configuration that algorithms need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from xnas_tf.strategy.constraints import Constraint
from xnas_tf.strategy.options import SearchOptions


class Goal(Protocol):
    """An objective."""

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
        """Limits by the name of the objective or measure."""

    @property
    def search(self) -> SearchOptions:
        """The ``search`` section."""
