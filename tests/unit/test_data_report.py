"""What ``xnas-tf data`` says and draws."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from tests.pictures import make_folder, picture, spoil
from xnas_tf import Config, inspect_data
from xnas_tf.cli import main
from xnas_tf.errors import InputError
from xnas_tf.reporting.contact_sheet import SHOWN_CLASSES, SHOWN_IMAGES, sheet_figure
from xnas_tf.reporting.dataset import data_tables


@pytest.fixture
def pets(cache, tmp_path):
    return make_folder(tmp_path / "pets", {"cat": 20, "dog": 20})


def test_everything_found_is_in_the_json(pets):
    corrupt = spoil(pets)
    found = json.loads(json.dumps(inspect_data(f"folder:{pets}").as_dict()))
    assert sorted(found["problems"]["unreadable"]) == corrupt
    assert found["problems"]["empty"] == ["unicorn"]
    assert found["class_names"] == ["cat", "dog"] and found["image_shape"] == [12, 12, 3]
    counted = {
        part: sum(each[part] for each in found["classes"].values()) for part in found["images"]
    }
    assert counted == found["images"]
    assert list(found["steps"]) == ["size", "channels", "split", "normalisation", "augmentation"]


def test_what_a_search_would_refuse_is_shown_all_the_same(pets):
    spoil(pets)
    report = inspect_data(f"folder:{pets}", ["dataset.max_corrupt=0.02"])
    assert (
        report.notes[0]
        == "a search rejects this data set: 7% of it is unreadable; dataset.max_corrupt is 2%"
    )


def test_steps_follow_the_configuration(pets, tmp_path):
    (tmp_path / "c.yaml").write_text(
        f"dataset: {{name: 'folder:{pets}', size: [6, 9], group: '\\d\\d\\d'}}\n"
        "training: {augmentation: {crop: 1, flip: true, cutout: 2}}\n"
    )
    steps = inspect_data(tmp_path / "c.yaml").steps
    assert steps["size"] == "all 12x12; stretched to 6x9 pixels (height x width), as given"
    assert "groups stay whole" in steps["split"]
    assert steps["augmentation"] == (
        "random crop after 1 pixels of padding, random horizontal flips, a square of 2 pixels "
        "blanked out"
    )
    assert inspect_data(Config(dataset="digits")).steps["augmentation"] == "none"


def test_names_in_the_tables_are_no_markup(pets):
    (pets / "dog").rename(pets / "[red]dog")
    spoil_me = pets / "cat" / "[bold]x.png"
    spoil_me.write_text("no image")
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    for table in data_tables(inspect_data(f"folder:{pets}")):
        console.print(table)
    text = console.export_text()
    assert "[red]dog" in text and "cat/[bold]x.png (no image)" in text


def test_notes_that_are_no_problems_stand_below_their_table(pets):
    (pets / "cat" / "readme.txt").touch()
    (pets / "cat" / "nothing.png").touch()
    *_, problems, note = data_tables(inspect_data(f"folder:{pets}"))
    assert problems.title == "problems" and problems.row_count == 1
    assert str(note) == "files that are not images, left out: 1 .txt"


def test_each_kind_of_problem_is_one_line_with_three_examples(cache, tmp_path):
    make_folder(tmp_path / "pets", {"cat": 20, "dog": 20})
    for number in range(5):
        picture(0, number, (4, 20)).save(tmp_path / "pets" / "cat" / f"wide {number}.png")
    (tmp_path / "pets" / "dog" / "bad.png").write_text("no image")
    report = inspect_data(f"folder:{tmp_path / 'pets'}", ["dataset.size=12"])
    *_, problems, hint = (each for each in data_tables(report) if "split" not in str(each))
    kinds, names = ([*column.cells] for column in problems.columns)
    assert [str(kind) for kind in kinds] == [
        "unreadable and left out (1)",
        "of an odd shape, stretched by more than half (5)",
    ]
    assert "dog/bad.png" in str(names[0])
    assert str(names[1]).count(".png") == 3 and str(names[1]).endswith(" and 2 more")
    assert str(hint).endswith(
        "--format json (in Python: report.as_dict()) names all of these files"
    )
    assert len(report.as_dict()["problems"]["odd"]) == 5


def test_the_picture_shows_images_of_each_class(pets):
    figure = sheet_figure(inspect_data(f"folder:{pets}").dataset)
    pictures, bars = figure.axes
    (shown,) = pictures.images
    pixels = np.asarray(shown.get_array())
    assert pixels.shape == (2 * 14, SHOWN_IMAGES * 14, 3)
    inner = pixels.reshape(2, 14, SHOWN_IMAGES, 14, 3)[:, 1:-1, :, 1:-1].mean(axis=(1, 2, 3))
    assert (inner[:, :2].argmax(axis=1) == [0, 1]).all()  # the colours that show the classes
    assert [label.get_text() for label in pictures.get_yticklabels()] == ["cat", "dog"]
    assert [sum(bar.get_width() for bar in each) for each in bars.containers] == [24, 8, 8]


def test_many_classes_and_odd_names_are_drawn(tmp_path, pets):
    names = {f"$class_{number}$ with a very long name": 4 for number in range(SHOWN_CLASSES + 2)}
    make_folder(tmp_path / "many", names, (4, 4), ["png"])
    report = inspect_data(
        f"folder:{tmp_path / 'many'}", ["dataset.validation=0.3", "dataset.test=0.3"]
    )
    (drawn, _) = sheet_figure(report.dataset).axes
    assert drawn.get_yticklabels()[0].get_text() == "$class_0$ with a …"
    report.save_sheet(tmp_path / "many.png")
    assert (tmp_path / "many.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="`out` .*: there is no folder .*nowhere"):
        report.save_sheet(tmp_path / "nowhere" / "many.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["folder:pest"], "did you mean 'pets'"),
        (["pets"], "did you mean folder:pets?"),
        (["folder:pets", "--set", "dataset.size=[3]"], "allowed: one number, or height and width"),
        (["folder:pets", "--set", "dataset.group=("], "is not a regular expression"),
        (["digits", "--set", "dataset.group=x"], "has no image files"),
        (["digit"], "did you mean 'digits'"),
        (["nothing.yaml"], "nothing.yaml"),
    ],
)
def test_bad_input_ends_with_2(pets, monkeypatch, words, message):
    monkeypatch.chdir(pets.parent)
    done = CliRunner().invoke(main, ["data", *words])
    assert done.exit_code == 2 and message in done.output
