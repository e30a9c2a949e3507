"""What hears of a search as it goes on, beside the record."""

from __future__ import annotations

from collections.abc import Sequence

from xnas_tf.candidate import Candidate


class Observer:
    """Hears everything and does nothing; ``Spectators`` shows it to people."""

    def candidate(
        self, candidate: Candidate, is_new: bool, front: Sequence[Candidate], hypervolume: float
    ) -> None:
        """Hears of a candidate that is settled.

        Args:
            candidate: The candidate, in any state but running.
            is_new: Whether it was evaluated now rather than answered from the record.
            front: The Pareto-optimal candidates so far.
            hypervolume: Theirs; 0 while a run is replayed.
        """

    def generation(
        self,
        generation: int,
        candidates: Sequence[Candidate],
        front: Sequence[Candidate],
        hypervolume: float,
    ) -> None:
        """Hears of a generation that is complete, once in the life of a run."""

    def note(self, text: str) -> None:
        """Hears something that is worth a line."""


class Spectators(Observer):
    """Passes everything on to several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def candidate(self, *news) -> None:
        """See ``Observer.candidate``."""
        for observer in self._observers:
            observer.candidate(*news)

    def generation(self, *news) -> None:
        """See ``Observer.generation``."""
        for observer in self._observers:
            observer.generation(*news)

    def note(self, text: str) -> None:
        """See ``Observer.note``."""
        for observer in self._observers:
            observer.note(text)
