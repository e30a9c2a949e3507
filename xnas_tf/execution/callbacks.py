"""Callbacks: user code and package code that is called during a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError, suggest
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.registry import describe
from xnas_tf.storage.database import Database
from xnas_tf.training.callbacks import Interrupted

if TYPE_CHECKING:  # xnas-tf status does not need TensorFlow
    from xnas_tf.data import Dataset
    from xnas_tf.spaces.search_space import SearchSpace


class Callback:
    """Base class for code that is called during a search. By default, the methods do nothing.

    A callback is called in the process that records the run: rank 0 of a Horovod job, or the
    process that started a search on Ray. The search waits for the callback. If a callback raises an
    exception, the search prints a message and continues. ``run.stop()`` ends the search early.

        class Slack(xt.Callback):
            def __init__(self, channel="#nas"):
                self.channel = channel

            def on_candidate_end(self, run, candidate):
                if candidate in run.pareto():
                    post(self.channel, f"{candidate.id}: {candidate.objectives}")

        xt.search("xnas.yaml", callbacks=[Slack("#vision")])

    In a configuration, ``callbacks: [{name: "mine:Slack", channel: "#vision"}]`` does the same.
    """

    def on_search_begin(self, run: SearchRun) -> None:
        """Called before the first candidate.

        A resumed run already has candidates, over which ``for candidate in run`` iterates. The
        other methods are not called again for events of an earlier session.
        """

    def on_candidate_begin(self, run: SearchRun, candidate: Candidate) -> None:
        """Called before a candidate is trained, and again before its training resumes."""

    def on_epoch_end(
        self, run: SearchRun, candidate: Candidate, epoch: int, logs: Mapping[str, float]
    ) -> None:
        """Called when an epoch of a candidate's training has ended.

        Epochs are counted from 1. ``logs`` are the metrics of this epoch, and the candidate's
        ``history`` has those of all epochs so far.
        """

    def on_candidate_end(self, run: SearchRun, candidate: Candidate) -> None:
        """Called when a candidate's result is recorded; see the candidate's ``state``."""

    def on_generation_end(self, run: SearchRun, generation: int) -> None:
        """Called when a generation is complete, with its number, counted from 1."""

    def on_message(self, text: str) -> None:
        """Called with a message for the user."""

    def on_search_end(self, run: SearchRun, error: BaseException | None) -> None:
        """Called when the search ends. If it finished, the models on the front have been tested.

        Args:
            run: The run.
            error: None if the search finished; otherwise the exception that ended it, such as
                ``Interrupted`` after SIGINT or SIGTERM. Running the same command again resumes an
                interrupted search.
        """


def check_callbacks(callbacks: Iterable[object]) -> Sequence[Callback]:
    """Return the callbacks as a list.

    Raises:
        InputError: If an item is not a callback, or has an ``on_…`` method that is never called.
    """
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise InputError(f"`callbacks`: given {callbacks!r}; allowed: a list of xnas_tf.Callback")
    found: list[Any] = list(callbacks)
    for each in found:
        if not isinstance(each, Callback):
            hint = ": pass an instance, not the class" if isinstance(each, type) else ""
            raise InputError(f"`callbacks`: {each!r} is not an xnas_tf.Callback{hint}")
        _check_methods(type(each))
    return found


def _check_methods(kind: type[Callback]) -> None:
    """Check that a search calls each ``on_…`` method of a callback."""
    known = [name for name in vars(Callback) if name.startswith("on_")]
    own = [name for each in kind.__mro__ if issubclass(each, Callback) for name in vars(each)]
    for name in own:
        if name.startswith("on_") and name not in known and callable(getattr(kind, name)):
            raise InputError(
                f"`callbacks`: {kind.__name__}.{name} would never be called; there is no method "
                f"{suggest(name, known)}"
            )


class Callbacks:
    """The callbacks of a search, in the order in which they are called.

    Every event is recorded in the run before the callbacks are called. Any failure in a callback,
    such as a name that TensorBoard rejects, a closed terminal or a server that is down, only prints
    a message, once for each reason.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self._callbacks = callbacks
        self._noted: set[str] = set()

    def call(self, method: Callable[[Callback], None]) -> None:
        """Call a method of each callback."""
        for callback in self._callbacks:
            self._attempt(callback, method)

    def on_message(self, text: str) -> None:
        """Pass a message for the user to the callbacks."""
        self.call(lambda callback: callback.on_message(text))

    @contextmanager
    def over_search(self, run: SearchRun) -> Iterator[None]:
        """Call ``on_search_begin``, and ``on_search_end`` when the context exits for any reason."""

        def end(callback: Callback, _: object, error: BaseException | None, __: object) -> None:
            self._attempt(callback, lambda callback: callback.on_search_end(run, error))

        with ExitStack() as stack:
            for callback in reversed(self._callbacks):
                stack.push(partial(end, callback))
            self.call(lambda callback: callback.on_search_begin(run))
            yield

    def _attempt(self, callback: Callback, method: Callable[[Callback], None]) -> None:
        try:
            method(callback)
        except Interrupted:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - TensorBoard or a user's code
            reason = f"{type(callback).__name__} failed: {describe(error)}"
            if reason not in self._noted:
                self._noted.add(reason)
                self.on_message(reason)


@dataclass(frozen=True)
class SearchContext:
    """The search for which callbacks are created, and the path of its run directory."""

    path: Path
    config: Config
    dataset: Dataset
    space: SearchSpace
    database: Database
    seconds_spent: float
    """Seconds that earlier sessions of the run took."""


MakeCallbacks = Callable[[SearchContext], Sequence[Callback]]
