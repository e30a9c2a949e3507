"""The search as its driver sees it: groups come and go, one coordinator decides."""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xnas_tf.config import Config, differences
from xnas_tf.errors import InputError, RunError, XnasError
from xnas_tf.evaluation.open_modes import open_modes
from xnas_tf.execution.session import Session
from xnas_tf.execution.task import RankFailedError
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.launcher.ray.group import Group
from xnas_tf.launcher.ray.losses import LostGroups
from xnas_tf.launcher.ray.mailbox import Mailbox
from xnas_tf.launcher.ray.rank import Setting, facts_of
from xnas_tf.launcher.ray.resources import Capacity
from xnas_tf.registry import describe
from xnas_tf.spaces.options import given_objects
from xnas_tf.training.callbacks import Interrupted

TURN = 0.2
"""Seconds that the driver waits for news, at most."""
SLOW = 6.0
"""How much longer than a step a group may take to load the data, or to try the modes."""
LEAVE = 5.0
"""Seconds before its end in which the driver does not wait for groups to save any more."""


class Driver:
    """Hands candidates to groups and replaces groups that are lost.

    Args:
        lead: The record and the coordinator.
        config: The configuration.
        digest: Of the driver's data, which all groups must have too.
        size: Ranks of a group.
        room: How many groups there should be, and what a rank takes.
        watch: Knows whether to stop.
    """

    def __init__(
        self,
        session: Session,
        config: Config,
        digest: str,
        size: int,
        room: Capacity,
        watch: Watchdog,
    ) -> None:
        self._session = session
        self._coordinator = session.coordinator
        self._config = config
        self._size = size
        self._room = room
        self._watch = watch
        self._groups: list[Group] = []
        self._losses = LostGroups()
        self._modes = {} if not open_modes(config) else session.known_modes
        # On this node: without it the search is at its end anyway.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here)
        self._mailbox: Any = options.remote()
        self._setting = Setting(
            config, self._mailbox, os.getcwd(), tuple(sys.path), room(), given_objects()
        )
        self._facts = facts_of(digest)
        self._failure: XnasError | None = None
        """Why the search cannot go on; raised when what else happened in that turn is recorded."""
        self._silences: dict[int, float] = {}
        self._asked: Any = None
        """What the mailbox was asked for and has not given yet."""

    def run(self) -> None:
        """Evaluates candidates until there are no more.

        Raises:
            Interrupted: After a signal, when the groups have saved what they can.
            InputError: If a group finds its input wrong.
            RunError: If groups are lost again and again.
        """
        try:
            while not self._coordinator.is_over:
                self._grow()
                questions = self._listen()
                with self._coordinator.together():
                    answers = {number: self._answer(*asked) for number, *asked in questions}
                    for group in self._groups:
                        self._try_to_advance(group)
                self._mailbox.answer.remote(answers)
                if self._failure:
                    raise self._failure
                if self._watch.stopping:
                    self._stop()
        finally:
            for group in self._groups:
                group.close()
            ray.kill(self._mailbox)

    def _grow(self) -> None:
        """Adds groups where there is room for more."""
        wanted = max(self._room(), len(self._groups))
        if wanted > len(self._groups):
            for number in range(len(self._groups), wanted):
                self._groups.append(self._new(number))
            self._session.note_groups(wanted, self._size)

    def _new(self, number: int) -> Group:
        avoided = self._losses.avoided(number, self._room.bundle)
        return Group(number, self._setting, self._size, self._room.bundle, avoided)

    def _listen(self) -> list[Any]:
        """What ranks ask, as soon as one does or a group has news."""
        asked = self._asked = self._asked or self._mailbox.questions.remote(TURN)
        pending = [reference for group in self._groups for reference in group.pending]
        done, _ = ray.wait([asked, *pending], num_returns=1, timeout=TURN)
        if asked not in done:
            time.sleep(0.01)  # a group of several ranks has news until the last one is done
            return []
        self._asked = None
        try:
            questions, self._silences = ray.get(asked)
        except ray.exceptions.RayError as error:
            raise RunError(
                f"Ray lost the search's mailbox: {describe(error)}. The same command goes on"
            ) from error
        return questions

    def _answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return getattr(self._coordinator, method)(*arguments)

    def _try_to_advance(self, group: Group) -> None:
        try:
            self._advance(group)
        except XnasError as error:
            self._failure = self._failure or error

    def _advance(self, group: Group) -> None:
        """Takes what a group has done, and gives it more to do."""
        task = group.task
        try:
            result = group.advance()
        except (Interrupted, InputError) as error:
            if not self._watch.stopping:
                raise _as_ours(error) from None
            return
        except (ray.exceptions.RayError, XnasError, OSError) as error:
            cause = _as_ours(error)
            if isinstance(cause, RankFailedError):
                self._give_up(group, str(cause))
            else:
                self._replace(group, describe(cause), getattr(cause, "preempted", False))
            return
        if task and result is not None:
            group.task = None
            self._losses.forget(group.number)
            self._coordinator.tell(task["id"], result)
        elif group.is_joined and result is not None:
            self._modes, why = result
            self._session.note_modes(self._modes, why)
        self._give(group)
        self._check_hang(group)

    def _give(self, group: Group) -> None:
        if self._watch.stopping:
            return
        if group.is_joined and not group.pending:
            self._check_same(group)
            if self._modes is not None:
                group.prepare(self._modes)
            elif not any(each.is_measuring for each in self._groups):
                group.measure_modes()
        elif group.is_idle:
            task = self._coordinator.next(group.number)
            if task:
                group.evaluate(task)

    def _check_same(self, group: Group) -> None:
        """Refuses ranks that would give other values."""
        for place, facts in zip(group.places, group.facts, strict=True):
            if lines := differences(facts, self._facts, "there, at the driver"):
                listed = "\n  ".join(lines)
                raise InputError(f"{place.address} differs from the driver:\n  {listed}")

    def _check_hang(self, group: Group) -> None:
        """Gives up a candidate that makes no progress, and with it the group."""
        limit = 60 * self._config.distributed.stall_minutes
        silence = self._silences.get(group.number, math.inf)  # it may hang before its first step
        lasts = time.monotonic() - group.began
        if group.task and min(silence, lasts) > limit:
            minutes = self._config.distributed.stall_minutes
            reason = f"it hung: no step for {minutes:g} minutes (distributed.stall_minutes)"
            self._give_up(group, reason)
        elif group.is_starting and lasts > SLOW * limit:
            self._replace(group, f"it was not ready after {SLOW * limit / 60:g} minutes")

    def _give_up(self, group: Group, reason: str) -> None:
        """Records a candidate as failed that its group cannot get rid of otherwise."""
        if group.task:
            self._coordinator.tell(group.task["id"], {"state": "failed", "reason": reason})
        group.task = None
        self._losses.forget(group.number)
        self._replace(group, reason)

    def _replace(self, group: Group, why: str, is_preempted: bool = False) -> None:
        """Puts a lost group's candidate back in line, and another group in its place. The candidate
        is not to blame where a whole node is gone."""
        self._losses.note(group.number, group.nodes)
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if group.task:
            is_blamed = group.nodes <= alive and not is_preempted
            self._coordinator.requeue(group.task["id"], why, is_blamed)
        self._session.note(f"group {group.number} is lost and replaced: {why}")
        group.close()
        self._losses.check(len(self._groups), why)
        self._groups[group.number] = self._new(group.number)

    def _stop(self) -> None:
        """Lets all groups save and leave.

        Raises:
            Interrupted: When they have, or time is up.
        """
        with suppress(ray.exceptions.RayError):
            ray.get(self._mailbox.stop.remote(self._watch.stopping))
        while any(group.task for group in self._groups) and self._watch.seconds_left > LEAVE:
            questions = self._listen()
            with self._coordinator.together():
                answers = {number: self._answer(*asked) for number, *asked in questions}
                for group in self._groups:
                    self._take_last(group)
            self._mailbox.answer.remote(answers)
        raise self._watch.interruption()

    def _take_last(self, group: Group) -> None:
        """Takes the outcome of a group that ended just before it heard of the stop."""
        if not group.task:
            return
        try:
            outcome = group.advance()
        except (ray.exceptions.RayError, XnasError, OSError):
            group.task = None
            return
        if outcome is not None:
            self._coordinator.tell(group.task["id"], outcome)
            group.task = None


def _as_ours(error: Exception) -> Exception:
    """The error that a rank raised, without Ray's wrapping."""
    return getattr(error, "cause", None) or error
