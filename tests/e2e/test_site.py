"""The documentation as a site: built strictly, complete, and without anything from elsewhere."""

import re
import subprocess
import sys

import pytest

from tests.documented import ROOT
from tests.e2e.conftest import environment

pytest.importorskip("mkdocs", reason="bin/setup dev installs it")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. A page that is in no menu, or a link to nowhere, is an error."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_its_pages_ask_for_nothing_from_elsewhere(site):
    loaded = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert {url for page in pages for url in loaded.findall(page.read_text("utf-8"))} == set()
    styles = (path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not any(re.search(r"url\([\"']?(https?:)?//", text) for text in styles)


def test_the_references_are_filled_in(site):
    for name in ("search", "explain", "Run", "InterpretableModel"):
        page = (site / f"reference/api/{name}.html").read_text("utf-8")
        assert f'id="xnas_tf.{name}"' in page
    objectives = (site / "reference/configuration/objectives.html").read_text("utf-8")
    assert 'id="introspectability"' in objectives
    commands = (site / "reference/commands.html").read_text("utf-8")
    for name in ("search", "report", "benchmark search"):
        assert f"xnas-tf {name}" in commands
    assert "data:image/png;base64" in (site / "get-started/notebook.html").read_text("utf-8")


def test_it_can_be_read_and_searched_from_the_disk(site, page):
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="From digits to a model you understand").first.click()
    assert page.url == (site / "tutorials/digits.html").as_uri()
    page.get_by_role("textbox", name="Search").press_sequentially("troubleshooting")
    page.locator(".md-search-result__link").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/troubleshooting.html*")
    assert not failed
    assert all(url.startswith(("file:", "data:")) for url in asked)
