"""What several benchmarks share."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.common import json_lines


def test_a_line_that_was_cut_off_is_removed_and_later_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert json_lines(path) == []
    path.write_text('{"seed": 0}\n{"seed": 1}\n{"see')
    assert json_lines(path) == [{"seed": 0}, {"seed": 1}]
    with path.open("a") as file:
        file.write(json.dumps({"seed": 2}) + "\n")
    assert json_lines(path) == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
