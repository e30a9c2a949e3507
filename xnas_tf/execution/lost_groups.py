"""What becomes of a candidate whose group of ranks was lost: it is trained again, or has failed."""

from __future__ import annotations

from xnas_tf.candidate import Candidate

MAX_LOST_GROUPS = 2
"""Lost groups after which a candidate counts as failed."""


def failure(candidate: Candidate) -> str:
    """Return why a candidate is not trained again; empty if it may be."""
    if candidate.lost_groups < MAX_LOST_GROUPS:
        return ""
    return f"a rank of its group died {candidate.lost_groups} times while it was trained"
