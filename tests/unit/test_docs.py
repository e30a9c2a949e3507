"""What the documentation says is so: commands, configurations, names, versions."""

import math
import re
import shlex

import click
import pytest
import yaml

import xnas_tf
from tests.documented import ROOT, blocks, commands, mentioned, name_of, pages
from tools import docs_pictures
from xnas_tf.cli import main
from xnas_tf.config import Config, load_config
from xnas_tf.objectives import OBJECTIVES


def examples(command):
    """The calls that ``--help`` shows, of a command and those below it."""
    text = re.sub(r" *\\\n *", " ", command.help or "")
    yield from re.findall(r"^ *((?:horovodrun -np 8 )?xnas-tf .*)$", text, re.MULTILINE)
    for below in getattr(command, "commands", {}).values():
        yield from examples(below)


def calls():
    """All calls of xnas-tf that are shown anywhere."""
    shown = [*commands(), *mentioned(), *examples(main)]
    found = (re.search(r"(?:^|[ /])xnas-tf ([a-z].*)", text) for text in shown)
    rest = r' {2,}.*|[&>] .*|…| "[$]@".*'
    return sorted({re.sub(rest, "", match[1]).strip() for match in found if match})


@pytest.mark.parametrize("call", calls())
def test_commands_options_and_keys_exist(call, monkeypatch):
    """Also of commands that no test runs."""
    monkeypatch.chdir(ROOT)
    words, command = shlex.split(call), main
    while words and isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    if not words:
        return
    given = command.make_context("xnas-tf", words).params
    if "overrides" in given:
        assert load_config(None, given["overrides"])


CONFIGURATIONS = [
    (page, text)
    for page in pages()
    for text in blocks(page, "yaml")
    if set(yaml.safe_load(text)) <= set(Config.model_fields)
]


@pytest.mark.parametrize(
    ("page", "text"), CONFIGURATIONS, ids=lambda value: getattr(value, "name", "")
)
def test_configurations_are_valid(page, text, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    if "watch:" in text:  # the page says to save its code so
        (tmp_path / "watch.py").write_text(blocks(page, "python")[0])
        monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "documented.yaml").write_text(text)
    assert load_config(tmp_path / "documented.yaml")


@pytest.mark.parametrize("name", sorted(set(xnas_tf.__all__) - {"__version__"}))
def test_every_public_name_is_in_the_reference(name):
    text = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: xnas_tf[.\w]*\.{name}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_is_among_the_metrics(name):
    shown = name.replace("metric:", "metric:NAME")
    assert f"| `{shown}` |" in (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_the_range_of_an_objective_is_among_the_metrics(name):
    text = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    shown = name.replace("metric:", "metric:NAME")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{shown}` |"))
    shown = row.split("|")[3].partition("(")[0]  # without the default of an option
    words = re.findall(r"-?\d+", shown.replace("−", "-"))
    bounds = [*map(float, words), math.inf][:2] if words else [-math.inf, math.inf]
    cls = OBJECTIVES.get(name)
    assert [cls.lowest, cls.highest] == bounds


@pytest.mark.parametrize(
    "page",
    [p for p in pages() if p.parent.parent == ROOT / "docs"],
    ids=lambda p: f"{p.parent.name}/{p.name}",
)
def test_a_page_begins_with_its_purpose(page):
    title, text = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.match(r"(This|In this) (page|tutorial),? ", text)


def test_the_example_of_an_objective_is_that_of_its_page():
    def body(code):
        return [line for line in code.splitlines() if line.startswith("    ")]

    shown = body(blocks(ROOT / "docs/how-to/objectives.md", "python")[0])
    assert set(shown) <= set(body((ROOT / "examples/calibration.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_to_files_of_the_checkout(page):
    """Whoever reads the pages on GitHub has no pages that the site makes."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_page_of_the_commands_lists_each_with_its_summary():
    def rows(group, name):
        shown = {word: each for word, each in group.commands.items() if not each.hidden}
        for word, command in shown.items():
            yield f"| `{name} {word}` | {command.get_short_help_str(200)} |"
            if isinstance(command, click.Group):
                yield from rows(command, f"{name} {word}")

    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    shown = [line for line in text.splitlines() if line.startswith("| `")]
    assert sorted(shown) == sorted(rows(main, "xnas-tf"))


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == xnas_tf.__version__
    assert {each["identifiers"][0]["value"] for each in citation["references"]} == {
        "arXiv:2112.08645",
        "arXiv:2003.13268",
        "arXiv:2010.09345",
    }


def test_the_changelog_has_a_place_for_what_changes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_each_test_that_the_comparison_names_exists():
    page = (ROOT / "docs/benchmarks/comparison.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:unit|e2e)/\w+\.py)::(\w+)`", page)
    assert len(named) > 20
    for file, test in named:
        code = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"def {test}(" in code, f"{file}::{test}"


def test_each_source_of_the_comparison_is_used_and_there():
    page = (ROOT / "docs/benchmarks/comparison.md").read_text(encoding="utf-8")
    text, _, sources = page.partition("## Sources")
    used = re.findall(r"\b[OKRAN]\d\b", " ".join(re.findall(r"\[([^\]]*)\](?!\()", text)))
    assert set(used) == set(re.findall(r"^- ([OKRAN]\d) ", sources, re.MULTILINE))


def test_each_picture_is_drawn_by_the_script_and_shown_in_a_page():
    drawn = (docs_pictures.DRAWN.get(name, (name,)) for name in docs_pictures.PICTURES)
    files = {path.stem for path in (ROOT / "docs/images").glob("*.png")}
    assert files == {name for names in drawn for name in names}
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    assert [name for name in sorted(files) if f"images/{name}.png" not in text] == []
