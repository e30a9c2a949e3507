"""A run's report, opened in a real browser."""

import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

import xnas_tf as xt
from tests.e2e.conftest import xnas
from tests.unit.test_front import THREE, TWO
from tests.unit.test_python import make_run
from tests.unit.test_retraining import desk_at, play
from xnas_tf.config import load_config
from xnas_tf.reporting.html.page import render
from xnas_tf.reporting.html.run_report import report_data
from xnas_tf.retraining.results import FOLDER
from xnas_tf.utils.number_format import format_value

SECTIONS = ("front", "lineage", "influence", "table", "more")
HOSTILE = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory):
    """A run with a report of all its parts, and the report's file."""
    run = shutil.copytree(finished[0], tmp_path_factory.mktemp("reported") / "run")
    words = ["--epochs", 1, "--images", 6, "--classes", "0,1,2"]
    xnas("disentangle", run, *words, cwd=run)
    xnas("interpret", run, "--epochs", 1, "--attributes", 4, cwd=run)
    play(desk_at(run / FOLDER, seeds=2))
    done = xnas("report", run, "--images", 3, cwd=run)
    assert done.stdout.strip() == str(run / "report.html")
    return xt.load_run(run), run / "report.html"


@pytest.fixture(scope="module")
def pages(reported, tmp_path_factory):
    """A report of each kind, by name: of a run, of several runs, and of a model."""
    run, file = reported
    folder = tmp_path_factory.mktemp("pages")
    other = shutil.copytree(run.path, folder / "other")
    model = shutil.copy(run.best.model_path, folder / "net.keras")
    for words in ([run.path, other], [model, "--dataset", "digits"]):
        xnas("report", *words, "--images", 3, cwd=folder)
    return {
        "run": file,
        "comparison": folder / "comparison.html",
        "model": folder / "net-report.html",
    }


def data_of(page):
    return json.loads(page.locator("#data").text_content())


@pytest.fixture
def opened(page, reported):
    """The report on the page; on leaving, nothing may have been asked of the network."""
    with visited(page, reported[1].as_uri()) as view:
        yield view


@contextmanager
def visited(page, address):
    """A file in a page of its own, which must neither fail nor ask for anything else."""
    asked, failed = [], []
    view = page.context.browser.new_page()
    view.on("request", lambda request: asked.append(request.url))
    view.on("pageerror", lambda error: failed.append(str(error)))
    view.on("dialog", lambda dialog: failed.append(dialog.message))
    view.goto(address)
    view.wait_for_selector("body[data-ready]")
    yield view
    view.close()
    assert not failed
    assert [url for url in asked if not url.startswith("data:")] == [address]


def test_hovering_shows_a_candidate_and_a_click_marks_it(opened, reported):
    last = reported[0].pareto()[-1]
    point = opened.locator(f"#front circle[data-id='{last.id}']")
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    opened.mouse.move(box["x"] + 5, box["y"] + 5)
    card = opened.locator("#card")
    assert f"candidate {last.id}" in card.text_content()
    assert str(round(last.objectives["error"], 4)) in card.text_content()
    assert card.locator("svg.cell").count() == 1
    opened.mouse.click(box["x"] + 5, box["y"] + 5)
    assert opened.locator(f"#table tr[data-id='{last.id}'].marked").count() == 1
    opened.mouse.move(2, 2)
    assert not card.is_visible()


def test_the_keyboard_walks_along_the_front(opened, reported):
    front = sorted(reported[0].pareto(), key=lambda c: c.objectives["error"])
    opened.locator("#front circle[tabindex='0']").focus()
    for _ in front:
        opened.keyboard.press("ArrowLeft")
    for candidate in front:
        focused = opened.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused.startswith(f"candidate {candidate.id},") and "error" in focused
        assert f"candidate {candidate.id}" in opened.locator("#card").text_content()
        opened.keyboard.press("ArrowRight")
    opened.keyboard.press("Enter")
    assert opened.locator(f"#table tr[data-id='{front[-1].id}'].marked").count() == 1
    opened.keyboard.press("Escape")
    assert not opened.locator("#card").is_visible()


def test_objectives_can_be_chosen_and_columns_sorted(opened, reported):
    titles = opened.locator("#front svg .axis")
    assert titles.all_text_contents() == ["error ↓", "introspectability ↑"]
    opened.get_by_label("x axis").select_option(label="introspectability ↑")
    opened.locator("#front").get_by_label("y axis").select_option(label="error ↓")
    assert titles.all_text_contents() == ["introspectability ↑", "error ↓"]
    heading = opened.locator("#table th", has_text="introspectability")
    for order, reverse in (("ascending", False), ("descending", True)):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        ids = [int(text) for text in opened.locator("#table button.id").all_text_contents()]
        front = {c.id: c.objectives["introspectability"] for c in reported[0].pareto()}
        assert ids == sorted(front, key=front.get, reverse=reverse)


def test_numbers_are_rounded_as_in_the_terminal(opened):
    """Also those in the middle between two decimals, such as 1/32."""
    values = [1.4352544, -1.43525, 0.5, 1e-3, *np.random.default_rng(0).normal(size=200)]
    values += [sign * number / 32 for number in range(1, 300, 2) for sign in (-1, 1)]
    values += (np.arange(20000, 20100) / 20000).tolist()  # seldom exact
    shown = opened.evaluate("(values) => values.map(number)", [v for v in values if abs(v) < 10])
    expected = [v for v in values if 1e-3 <= abs(v) < 10]
    shown = [text for text in shown if "e" not in text]
    assert [float(text) for text in shown] == [float(format_value(v)) for v in expected]


def test_only_axes_that_say_so_are_logarithmic(opened):
    middle = "(isLog) => scale([1, 1000], 0, 104, false, isLog)(10)"
    assert opened.evaluate(middle, True) == pytest.approx(0.04 / 1.08 * 104 + 104 / 1.08 / 3)
    assert opened.evaluate(middle, False) < 10
    assert opened.evaluate("scale([0, 1000], 0, 104, false, true)(500)") == pytest.approx(52)
    assert opened.evaluate("axisTitle('a', true)") == "a (log scale)"


def test_each_model_is_shown_with_what_it_looks_at(opened, reported):
    run = reported[0]
    front = run.pareto()
    known = {model["id"]: model for model in data_of(opened)["models"]["models"]}
    assert opened.locator("#gallery img").count() == 3 * (1 + 2 * len(front))
    for candidate in front:
        model = opened.locator(f"#model-{candidate.id}")
        if not model.evaluate("details => details.open"):
            model.locator("summary").first.click()
        model.get_by_text("distances between class means").first.wait_for()
        model.get_by_text("images predicted as each class in brackets").first.wait_for()
        assert not known[candidate.id]["problem"]
        accuracy = known[candidate.id]["accuracy"][1]
        assert accuracy == pytest.approx(candidate.metrics["test_accuracy"])
        for means in known[candidate.id]["means"]:
            key = "introspectability/" + means["source"].lower().replace("-", "_").replace(" ", "_")
            assert means["value"] == pytest.approx(candidate.metrics[key], abs=2e-3)
            rows = means["distances"]
            shown = sum(value for r, row in enumerate(rows) for value in row[r + 1 :])
            mean = shown / 45  # of ten classes; pairs with a class that is not shown count as 0
            assert mean == pytest.approx(candidate.metrics[key], abs=2e-3)
    assert opened.locator("img:not([alt]), img[alt='']").count() == 0
    broken = "all => all.filter(i => i.complete && !i.naturalWidth).length"
    assert opened.locator("img").evaluate_all(broken) == 0
    for metric in (
        "diversity of paths ↑",
        "diversity, not corrected for chance",
        "attributes per prediction ↓",
    ):
        assert opened.get_by_text(metric).count() == 1


def test_what_was_retrained_stands_beside_the_baseline(opened, reported):
    (retraining,) = xt.retrainings(reported[0])
    rows = opened.locator("#retrained tbody tr").all_text_contents()
    assert len(rows) == len(retraining.models()) == 3
    for row, model in zip(rows, retraining.models(), strict=True):
        assert model.title in row and "t, 2 seeds" in row
        assert "90.00% (90.00 to 90.00)" in row
    assert opened.locator("#retrained .plot svg .axis").all_text_contents() == [
        "epoch",
        "validation error (log scale)",
    ]


OVERFLOWING = """() => [...document.querySelectorAll("td, th, dd, dt, summary, p, h2, figcaption")]
    .filter((each) => each.clientWidth && each.scrollWidth > each.clientWidth + 1)
    .map((each) => each.textContent)"""
LUMINANCE = """() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g)
    .reduce((sum, value) => sum + +value, 0) / 765"""


@pytest.mark.parametrize("kind", ["run", "comparison", "model"])
def test_it_fits_any_window_in_light_and_dark(page, pages, kind):
    with visited(page, pages[kind].as_uri()) as view:
        view.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")
        for width in (400, 1000, 1600):
            view.set_viewport_size({"width": width, "height": 900})
            view.wait_for_function(f"innerWidth === {width}")
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            assert view.evaluate(OVERFLOWING) == []
        for scheme, is_right in (("light", lambda v: v > 0.9), ("dark", lambda v: v < 0.2)):
            view.emulate_media(color_scheme=scheme)
            assert is_right(view.evaluate(LUMINANCE))


CUT = """all => all.filter((each) => each.scrollWidth > each.clientWidth)
    .map((each) => each.textContent)"""
LINES_OF_WORDS = """figures => figures.flatMap((each) => {
  return each.textContent.split(" ").map((word, at, all) => {
    const range = document.createRange(), text = each.firstChild;
    const begin = all.slice(0, at).join(" ").length + (at > 0);
    range.setStart(text, begin);
    range.setEnd(text, begin + word.length);
    return [word, new Set([...range.getClientRects()].map((box) => box.top)).size];
  });
})"""


def test_long_names_are_whole_and_matrices_of_six_classes_are_not_cut(page, opened, tmp_path):
    names = ["Myotis daubentonii", "Nyctalus noctula", "Pipistrellus pipistrellus"]
    names += ["Pipistrellus pygmaeus", "Rhinolophus ferrumequinum", "no bat"]
    data = data_of(opened)
    models = data["models"]
    models["classes"] = names
    models["labels"] = [label % 6 for label in models["labels"]]
    for model in models["models"]:
        model["predicted"] = [4 for _ in model["predicted"]]
        model["confusion"] = [row[:6] for row in model["confusion"][:6]]
        model["classes"] = model["classes"][:6]
        for means in model["means"]:
            means["classes"], means["maps"] = [*range(6)], means["maps"][:6]
            means["distances"] = [row[:6] for row in means["distances"][:6]]
    file = tmp_path / "bats.html"
    file.write_text(render(data), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        view.set_viewport_size({"width": 1600, "height": 900})
        matrices = view.locator("details[open] > .model .matrices .scroller")
        assert matrices.count() >= 4 and matrices.evaluate_all(CUT) == []
        words = view.locator("#gallery figcaption").evaluate_all(LINES_OF_WORDS)
        assert ["ferrumequinum", 1] in words and {count for _, count in words} == {1}


@pytest.mark.parametrize("kind", ["run", "comparison", "model"])
def test_every_section_has_content_and_a_link_that_stays_in_view(page, pages, kind):
    with visited(page, pages[kind].as_uri()) as view:
        sections = view.locator("section")
        ids = sections.evaluate_all("all => all.map((each) => each.id)")
        links = view.locator("nav a").evaluate_all("all => all.map((each) => each.hash.slice(1))")
        assert links == ids and len(set(ids)) == len(ids) and ids[0] == "summary"
        for section in sections.all():
            has_content = section.locator("table, svg, img, dl").count()
            assert has_content or "Not estimated" in section.inner_text()
        for width in (400, 1600):
            view.set_viewport_size({"width": width, "height": 900})
            view.locator(f"nav a[href='#{ids[-1]}']").click()
            view.wait_for_function("scrollY > 0")
            box = view.locator("nav").bounding_box()
            assert 0 <= box["y"] < 100
            view.evaluate("scrollTo(0, 0)")


def test_the_report_of_a_model_has_its_accuracy_and_explanations(page, pages, reported):
    with visited(page, pages["model"].as_uri()) as view:
        (model,) = data_of(view)["models"]["models"]
        measured = reported[0].best.metrics["test_accuracy"]
        assert model["accuracy"][1] == pytest.approx(measured)
        assert {"gallery", "quality", "mistakes", "calibration", "introspectability", "layers"} <= {
            *view.locator("section").evaluate_all("all => all.map((each) => each.id)")
        }
        assert view.locator("#gallery img").count() == 10 * 3  # one image a class
        shown = view.locator("#quality").text_content()
        verdicts, metrics = model["quality"]["verdicts"], model["quality"]["metrics"]
        assert "How far to trust the maps" in verdicts[0]
        assert all(text in shown for text in verdicts)
        assert "probability while pixels are hidden ↓" in [name for name, *_ in metrics]
        assert all(text in shown for row in metrics for text in row)


def test_the_summary_shows_the_recommended_model_and_leads_to_it(opened, reported):
    best = reported[0].best
    summary = opened.locator("#summary")
    assert summary.locator("svg.cell").get_attribute("aria-label") == f"cell {best.genotype}"
    assert summary.locator("img").count() == 3 * 3  # images, and maps of two methods
    tested = summary.locator("dt:text-is('test accuracy') + dd").text_content()
    assert "95% interval" in tested and tested.endswith(f", candidate {best.id}")
    opened.locator(f"#model-{best.id}").evaluate("details => { details.open = false; }")
    summary.get_by_role("link").click()
    assert opened.locator(f"#model-{best.id}").evaluate("details => details.open")


def test_cells_are_drawn_and_genotypes_can_be_copied(opened, reported):
    for candidate in reported[0].pareto():
        row = opened.locator(f"#table tr[data-id='{candidate.id}']")
        assert row.locator("svg.cell").count() == 1
        assert row.locator("details code").text_content() == candidate.genotype


def everywhere(value, text):
    """The same data with the text in place of all that a user may have named."""
    if isinstance(value, dict):
        return {key: everywhere(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [everywhere(each, text) for each in value]
    is_ours = not isinstance(value, str) or re.match("data:image|done$|minimize|maximize", value)
    return value if is_ours else text


def test_hostile_names_are_texts_and_nothing_else(page, opened, tmp_path):
    data = {**everywhere(data_of(opened), HOSTILE), "cell": None}
    file = tmp_path / "hostile.html"
    file.write_text(render(data), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        view.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")
        view.get_by_text("recorded metrics").first.wait_for()
        view.locator("#front circle.front").first.focus()
        places = "h1 #card #summary #table #gallery #models #retrained #parallel"
        for place in places.split():
            assert HOSTILE in view.locator(place).text_content()
        assert view.evaluate("window.hurt") is None
        assert view.locator("img[src='x']").count() == 0
        assert view.locator("script").count() == 2


@pytest.mark.parametrize("kind", ["comparison", "model"])
def test_hostile_names_are_texts_in_the_other_reports(page, pages, tmp_path, kind):
    with visited(page, pages[kind].as_uri()) as view:
        data = everywhere(data_of(view), HOSTILE)
    file = tmp_path / "hostile.html"
    file.write_text(render(data, kind), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        assert HOSTILE in view.locator("h1").text_content()
        assert HOSTILE in view.locator("#summary").text_content()
        assert view.evaluate("window.hurt") is None
        assert view.locator("script").count() == 2


def test_options_in_texts_are_code_and_pictures_name_their_channels(page, pages, tmp_path):
    with visited(page, pages["model"].as_uri()) as view:
        data = data_of(view)
        assert "Pictures of images show" not in view.locator("#gallery").text_content()
    data["problem"] = "Use `--input-range <b>`, or `0-1`; a lone ` stays."
    data["models"]["shown_channels"] = "Pictures of images show channels 0, 1 and 2 of 5."
    file = tmp_path / "code.html"
    file.write_text(render(data, "model"), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        problem = view.locator("#summary .problem")
        assert problem.locator("code").all_text_contents() == ["--input-range <b>", "0-1"]
        assert problem.text_content() == "Use --input-range <b>, or 0-1; a lone ` stays."
        assert data["models"]["shown_channels"] in view.locator("#gallery").text_content()


def test_it_is_drawn_with_and_without_a_recommendation(page, opened, reported, tmp_path):
    found = reported[0].recommendation()
    line = opened.locator("#summary p", has_text="Recommended: candidate")
    assert line.text_content() == f"Recommended: candidate {found.id} ({found.why})."
    first = opened.locator("#table tbody tr").first
    assert "recommended" in first.text_content() and "marked" in first.get_attribute("class")
    data = {**data_of(opened), "recommended": {"id": None, "why": "nothing learned"}}
    file = tmp_path / "none.html"
    file.write_text(render(data), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        shown = view.locator("#summary").text_content()
        assert "No candidate is recommended: nothing learned." in shown
        assert view.locator("#table tr.marked").count() == 0


def test_the_network_is_forbidden(page, reported):
    page.goto(reported[1].as_uri())
    refused = page.evaluate(
        """() => new Promise((done) => {
            document.addEventListener("securitypolicyviolation", (e) => done(e.violatedDirective));
            new Image().src = "https://example.invalid/x.png";
        })"""
    )
    assert refused == "img-src"


def test_bad_input_ends_with_2(reported, tmp_path):
    run = reported[0].path
    (tmp_path / "mine.html").write_text("notes")
    for words, message in (
        (["--out", "mine.html"], "is not a report and was not touched"),
        (["--candidate", 99], "has no candidate 99"),
        (["--out", "no/where.html"], "there is no folder"),
    ):
        assert message in xnas("report", run, *words, cwd=tmp_path, code=2).stderr
    assert (tmp_path / "mine.html").read_text() == "notes"


def test_a_run_without_a_front_shows_what_violates_the_constraints(page, tmp_path):
    run = make_run(tmp_path / "run", load_config(TWO, ["constraints.error=<= 0.001"]))
    assert not run.pareto()
    with visited(page, xt.save_report(run).as_uri()) as view:
        sections = view.locator("section").evaluate_all("all => all.map((each) => each.id)")
        assert {"front", "parallel", "lost"} <= {*sections}
        assert not {"progress", "table", "models", "lineage"} & {*sections}  # these have no content
        count = sum(candidate.state == "done" for candidate in run)
        assert f"violates constraints ({count})" in view.locator("#front").inner_text()
        assert view.locator("#violating tbody tr").count() == count
        assert "No candidate is recommended" in view.locator("#summary .problem").inner_text()


@pytest.mark.parametrize(("config", "has_line"), [(TWO, True), (THREE, False)])
def test_texts_are_of_what_is_shown(page, tmp_path, config, has_line):
    run = make_run(tmp_path / "run", config, count=9)
    data = report_data(run, (), 0, 1, lambda _: None)
    data["candidates"]["reason"] = ["a source is 0"] * len(run)
    data["recommended"] = {"id": None, "why": "nothing learned"}
    file = tmp_path / "report.html"
    file.write_text(render(data), encoding="utf-8")
    with visited(page, file.as_uri()) as view:
        text = {name: view.locator(f"#{name}").inner_text() for name in SECTIONS}
    assert ("the line is the boundary" in text["front"]) == has_line
    assert "Mark a candidate" in text["lineage"] and "null" not in text["lineage"]
    assert "too few candidates with results" in text["influence"]
    assert "a source is 0" in text["table"]
    assert f"xnas-tf retrain {run.path}" in text["more"]
