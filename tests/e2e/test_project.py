"""``xnas-tf init``, and the search that follows it."""

from tests.e2e.conftest import xnas
from tests.pictures import make_folder

SHORT = ["search.candidates=1", "training.epochs=1", "objectives=[error, parameters]"]
SEARCH = ["search", *(word for text in SHORT for word in ("--set", text))]


def test_a_search_works_at_once_and_so_does_another_when_its_files_are_there(tmp_path):
    make_folder(tmp_path, {"cat": 12, "dog": 12})
    said = xnas("init", cwd=tmp_path)
    assert "wrote xnas.yaml and mine.py" in said.stderr
    assert "2 classes" in said.stdout
    xnas(*SEARCH, cwd=tmp_path)
    xnas(*SEARCH, cwd=tmp_path)  # runs/ and __pycache__ are not classes
    assert "nothing was written" in xnas("init", cwd=tmp_path, code=2).stderr
