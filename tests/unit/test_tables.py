"""Tables as spreadsheets and programs write them give the same data set, or the reason why not."""

import os

import pytest

from tests.pictures import make_folder
from xnas_tf.data import load_dataset
from xnas_tf.errors import InputError

PATHS = [f"{label}/{number:03}.png" for label in ("cat", "dog") for number in range(8)]


@pytest.fixture
def pets(cache, tmp_path):
    return make_folder(tmp_path / "pets", {"cat": 8, "dog": 8}, (4, 4), ["png"])


def write(root, text, encoding="utf-8"):
    (root / "t.csv").write_bytes(text.encode(encoding))
    return f"csv:{root / 't.csv'}"


def table(line="{path},{label}\n", header="path,label\n", end=""):
    rows = (line.format(path=path, label=path[:3]) for path in PATHS)
    return header + "".join(rows) + end


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (table(), "utf-8"),
        (table('"{path}","{label}"\r\n', "path,label\r\n"), "utf-8-sig"),
        (table("{path};{label}\n", "path;label\n"), "utf-8"),
        (table("{path};{label}\n", "sep=;\npath;label\n"), "utf-8"),
        (table().replace("\n", "\r"), "utf-8"),
        (table("{path}\t{label}\n", "path\tlabel\n"), "utf-16"),
        (table("{path}|{label}\n", "path|label\n"), "utf-8"),
        (table(" {path} , {label} \n", "path , label\n"), "utf-8"),
        (table("./{path},{label}\n"), "utf-8"),
        (table("dog/..//{path},{label}\n"), "utf-8"),
        (table("../pets/{path},{label}\n").replace("../pets/", "", 5), "utf-8"),
        (table(header="Path,LABEL\n"), "utf-8"),
        (table(end="\n,\n ,\n\n"), "utf-8"),
        (table().replace("/", "\\"), "utf-8"),
        (table("{path},{label},\n", "path,label,split\n"), "utf-8"),
    ],
)
def test_tables_of_all_usual_forms_are_the_same_data(pets, text, encoding):
    data = load_dataset(write(pets, text, encoding))
    assert data.class_names == ("cat", "dog") and not data.notes
    assert sum(map(len, data.parts.values())) == 16


def test_paths_may_be_absolute(pets):
    plain = load_dataset(write(pets, table()))
    absolute = load_dataset(write(pets, table(f"{pets}/{{path}},{{label}}\n")))
    assert absolute.digest == plain.digest


def test_whole_numbers_with_a_point_are_said(pets):
    text = table().replace(",cat\n", ",2.0\n").replace(",dog\n", ",10.0\n")
    data = load_dataset(write(pets, text))
    assert data.class_names == ("2", "10")
    assert data.notes == ["labels such as 1.0 are taken as 1"]


def test_columns_that_are_not_used_are_named(pets):
    data = load_dataset(write(pets, table("{path},{label},train\n", "path,label,splits\n")))
    assert data.notes == ["unused columns of the table: splits"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(end="cat/000.png,dog\n"), "cat/000.png is in rows 2 and 18"),
        (table(end="./cat/000.png,cat\n"), "cat/000.png is in rows 2 and 18"),
        (table(end="\n\ncat/008.png,\n"), "row 20: nothing in the column label"),
        (table(end=",cat\n"), "row 18: nothing in the column path"),
        (
            'path,label,text\ncat/000.png,cat,"a\nb\nc"\ncat/001.png\n',
            r"row 3 \(line 5\): nothing in the column label",
        ),
        (table(end="a,b.png,cat\n"), "row 18: 3 cells, but the first line has 2"),
        (table(end='"cat/008.png,cat\n'), "not a readable CSV file: unexpected end of data"),
        (table(header=""), "its first line is not a header; wanted: path,label"),
        (table(header="file,label\n"), "no column 'path'"),
        (table(header="path,label,Label\n"), "2 columns are named label"),
        (table("{path}x,{label}\n"), "none of its 16 files exists; the first is 'cat/000.pngx'"),
        (table().replace(".png", ""), "'cat/000' .did you mean '000.png'"),
        ("", "it is empty; wanted: a first line path,label"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(pets, text, message):
    with pytest.raises(InputError, match=message):
        load_dataset(write(pets, text))


def test_absolute_and_relative_paths_of_a_file_are_one(pets):
    with pytest.raises(InputError, match=r"000.png is in rows 2 and 18"):
        load_dataset(write(pets, table(end=f"{os.path.join(pets, PATHS[0])},cat\n")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\ncat/é.png,cat\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("path,label\n".encode("utf-16-le"), "zero bytes; allowed: UTF-8, or UTF-16 with"),
    ],
)
def test_other_encodings_are_named(pets, content, message):
    (pets / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_dataset(f"csv:{pets / 't.csv'}")
