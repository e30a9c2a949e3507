"""What the record learns from a job that died."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnas_tf.candidate import Candidate
from xnas_tf.run.directory import RECORD, locked
from xnas_tf.run.record import Record

DEATHS = 2
"""Deaths of its group after which a candidate counts as failed."""


@dataclass(frozen=True)
class Death:
    """The first rank of a job that died.

    Attributes:
        rank: Which one.
        code: Its exit code; 128 and more: killed by a signal.
    """

    rank: int
    code: int

    @property
    def is_violent(self) -> bool:
        """Whether something killed it, such as the system being out of memory or a crash in a
        library; SIGINT and SIGTERM only ask it to leave, and 255 is ssh's own."""
        return 128 < self.code < 255 and self.code not in (130, 143)

    @property
    def is_suspicious(self) -> bool:
        """Whether a candidate may have caused it all the same, for example by ending the
        process. A rank leaves with 2 when its input is wrong; see ``is_violent`` too."""
        return self.code not in (0, 2, 130, 143, 255)

    def is_final(self, has_ended: bool) -> bool:
        """Whether another start would end alike: the search refused its input, or came to its
        end and said what is wrong with that."""
        return self.code == 2 or (has_ended and self.code == 1)

    @property
    def is_consequence(self) -> bool:
        """Whether it may just have lost its connection to the rank that really died: Horovod
        aborts then (SIGABRT). Rank 0 notes when another one aborts by itself."""
        return self.rank > 0 and self.code == 134

    def __str__(self) -> str:
        is_signal = 128 < self.code < 255
        how = f"was killed by signal {self.code - 128}" if is_signal else "ended"
        return f"rank {self.rank} {how} (exit code {self.code})"


def blame(run: Path, death: Death, since: str) -> Candidate | None:
    """Notes a death with the candidate that the rank's group was training.

    Rank 0 does so itself when it hears of it, but it may be the one that died, or have been
    taken along.

    Args:
        run: The run directory.
        death: Who died.
        since: When the job was started: what the record has in flight from before then, the
            group was not training.

    Returns:
        That candidate; None where the group trained nothing.

    Raises:
        HeldError: If another search holds the run by now.
    """
    with locked(run):
        record = Record(run / RECORD, create=True)
        try:
            size = int((record.fact("groups") or {}).get("size", 1))
            group = death.rank // size
            for candidate in record.candidates():
                in_flight = candidate.state == "running" and candidate.started >= since
                if in_flight and candidate.group == group:
                    candidate.deaths += 1
                    record.save(candidate)
                    return candidate
            return None
        finally:
            record.close()
