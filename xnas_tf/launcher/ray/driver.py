"""A Ray search's driver: gives the coordinator's tasks to groups and replaces lost groups."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xnas_tf.candidate import Result
from xnas_tf.config import Config
from xnas_tf.errors import InputError, RunError, XnasError
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.session import record_groups
from xnas_tf.execution.task import RankFailedError
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.launcher.ray.group import Group
from xnas_tf.launcher.ray.mailbox import Mailbox, Question
from xnas_tf.launcher.ray.rank import Setting
from xnas_tf.launcher.ray.resources import Capacity, LostGroups, alive_nodes
from xnas_tf.registry import OBJECTS, describe
from xnas_tf.training.callbacks import Interrupted, interruption

if TYPE_CHECKING:
    from ray.actor import ActorHandle

POLL_SECONDS = 0.2
"""Maximum seconds to wait for questions and results."""
STARTUP_FACTOR = 6.0
"""Time that a group may take to load the data, as a multiple of the time for a step."""
LAST_SECONDS = 5.0
"""The driver stops waiting for groups to save when it has this many seconds left."""


class Driver:
    """The driver of a search, which hands out candidates to groups and replaces lost groups."""

    def __init__(
        self,
        coordinator: Coordinator,
        config: Config,
        facts: dict[str, Any],
        size: int,
        capacity: Capacity,
        watchdog: Watchdog,
    ) -> None:
        self._coordinator = coordinator
        self._config = config
        self._size = size
        self._capacity = capacity
        self._watchdog = watchdog
        self._groups: list[Group] = []
        self._losses = LostGroups()
        # On this node, since the search cannot outlive it anyway.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here)
        # Ray declares that ``remote`` may also return the class.
        mailbox: ActorHandle[Mailbox] = options.remote()  # type: ignore[assignment]
        self._mailbox = mailbox
        self._setting = Setting(
            config, mailbox, os.getcwd(), tuple(sys.path), capacity(), dict(OBJECTS), facts
        )
        self._failure: XnasError | None = None
        """Error that ends the search; raised once the other events of the turn are recorded."""
        self._silences: dict[int, float] = {}
        """Seconds since the last heartbeat, by group."""
        self._pending_questions: Any = None
        """The reference to the questions requested from the mailbox; None if none are."""

    def run(self) -> None:
        """Evaluate candidates until none are left.

        Raises:
            Interrupted: Raised after a signal, once the groups have saved what they can.
            InputError: If a group's input is invalid.
            RunError: If groups are lost repeatedly.
        """
        try:
            while not self._coordinator.is_over:
                self._add_groups()
                with self._turn():
                    for group in self._groups:
                        try:
                            self._advance(group)
                        except XnasError as error:
                            self._failure = self._failure or error
                if self._failure:
                    raise self._failure
                if self._watchdog.stopping:
                    self._stop()
        finally:
            for group in self._groups:
                group.close()
            ray.kill(self._mailbox)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for events, answer the ranks' questions, and commit all resulting changes."""
        questions = self._wait()
        with self._coordinator.transaction():
            answers = {
                number: getattr(self._coordinator, method)(*arguments)
                for number, method, arguments in questions
            }
            yield
        self._mailbox.answer.remote(answers)

    def _wait(self) -> list[Question]:
        """Wait until a rank asks a question or finishes its step; return the questions."""
        asked = self._pending_questions or self._mailbox.questions.remote(POLL_SECONDS)
        self._pending_questions = asked
        pending = [reference for group in self._groups for reference in group.pending]
        done, _ = ray.wait([asked, *pending], num_returns=1, timeout=POLL_SECONDS)
        if asked not in done:
            time.sleep(0.01)  # a group's step ends only when the last of its ranks is done
            return []
        self._pending_questions = None
        try:
            questions, self._silences = ray.get(asked)
        except ray.exceptions.RayError as error:
            raise RunError(
                f"Ray lost the search's mailbox: {describe(error)}. Run the same command again to "
                "resume"
            ) from error
        return questions

    def _add_groups(self) -> None:
        """Add groups if the cluster has room for more."""
        wanted = self._capacity()
        if wanted > len(self._groups):
            self._groups += [self._new(number) for number in range(len(self._groups), wanted)]
            record_groups(self._coordinator, wanted, self._size)

    def _new(self, number: int) -> Group:
        avoided = self._losses.avoided(number, self._capacity.bundle)
        return Group(number, self._setting, self._size, self._capacity.bundle, avoided)

    def _advance(self, group: Group) -> None:
        """Collect the result of a group's step if it is done, and start the next one."""
        try:
            finished = group.advance()
        except (Interrupted, InputError) as error:
            if not self._watchdog.stopping:
                raise _cause_of(error) from None
            return
        except (ray.exceptions.RayError, XnasError, OSError) as error:
            cause = _cause_of(error)
            if isinstance(cause, RankFailedError):
                self._give_up(group, str(cause))
            else:
                self._lose(group, describe(cause), getattr(cause, "preempted", False))
            return
        if finished:
            self._losses.forget(group.number)
            self._coordinator.tell(*finished)
        if group.is_idle and not self._watchdog.stopping:
            task = self._coordinator.ask(group.number)
            if task:
                group.evaluate(task)
        self._check_hang(group)

    def _check_hang(self, group: Group) -> None:
        """Give up on a stalled candidate, or replace a group that never becomes ready."""
        limit = 60 * self._config.distributed.stall_minutes
        silence = self._silences.get(group.number, math.inf)  # it may hang before its first step
        elapsed = time.monotonic() - group.began
        if group.task and min(silence, elapsed) > limit:
            minutes = self._config.distributed.stall_minutes
            reason = f"it hung: no step for {minutes:g} minutes (distributed.stall_minutes)"
            self._give_up(group, reason)
        elif group.is_starting and elapsed > STARTUP_FACTOR * limit:
            minutes = STARTUP_FACTOR * limit / 60
            self._replace(group, f"it was not ready after {minutes:g} minutes")

    def _give_up(self, group: Group, reason: str) -> None:
        """Record a group's candidate as failed, and replace the group."""
        if group.task:
            self._coordinator.tell(group.task, Result("failed", reason))
        self._losses.forget(group.number)
        self._replace(group, reason)

    def _lose(self, group: Group, why: str, is_preempted: bool) -> None:
        """Requeue a lost group's candidate, to blame unless a whole node was lost; replace it."""
        if group.task:
            alive = {node["NodeID"] for node in alive_nodes()}
            is_blamed = group.nodes <= alive and not is_preempted
            self._coordinator.requeue(group.task, why, is_blamed)
        self._replace(group, why)

    def _replace(self, group: Group, why: str) -> None:
        self._losses.note(group.number, group.nodes)
        lost = f"group {group.number} was lost and is replaced: {why}"
        self._coordinator.callbacks.on_message(lost)
        group.close()
        self._losses.check(len(self._groups), why)
        self._groups[group.number] = self._new(group.number)

    def _stop(self) -> None:
        """Ask all groups to save and stop; raise ``Interrupted`` when they have, or time is up."""
        with suppress(ray.exceptions.RayError):
            ray.get(self._mailbox.stop.remote(self._watchdog.stopping))
        evaluating = [group for group in self._groups if group.task]
        while evaluating and self._watchdog.seconds_left > LAST_SECONDS:
            with self._turn():
                evaluating = [group for group in evaluating if not self._has_stopped(group)]
        raise interruption(self._watchdog.stopping)

    def _has_stopped(self, group: Group) -> bool:
        """Return whether a group has stopped; collect its result if it finished before stopping."""
        try:
            finished = group.advance()
        except (ray.exceptions.RayError, XnasError, OSError):
            return True
        if finished:
            self._coordinator.tell(*finished)
        return finished is not None


def _cause_of(error: Exception) -> Exception:
    return getattr(error, "cause", None) or error
