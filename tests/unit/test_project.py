"""``xnas-tf init``: files that fit what is in a folder, and nothing overwritten."""

import keras_tuner
import numpy as np
import pytest
from click.testing import CliRunner

import xnas_tf as xt
from tests.pictures import make_folder, picture
from xnas_tf.cli import main
from xnas_tf.errors import InputError
from xnas_tf.project.files import _WEIGHTS

PETS = {"cat": 10, "dog": 10}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The current folder, which has a name that needs quotes in a shell and in YAML."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "my photos: #ä"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def class_folder(root):
    make_folder(root / "tie re: #1", PETS)
    (root / "notes.csv").write_text("a,b\n1,2\n")
    return "folder:tie re: #1"


def in_the_folder_itself(root):
    make_folder(root, PETS)
    return "folder:."


def splits(root):
    for split in ("train", "val", "test"):
        make_folder(root / split, PETS)
    return "folder:."


def table(root):
    make_folder(root / "images", {"all": 12})
    rows = [f"{path.relative_to(root)};{n % 2}" for n, path in enumerate((root).rglob("*.*"))]
    (root / "labels.csv").write_text("\n".join(["Path;Label", *rows]))
    return "csv:labels.csv"


def arrays(root, name="a b.npz"):
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    np.savez(root / name, x=images, y=np.arange(40) % 4)
    return f"npz:{name}"


def grey(root):
    for number in range(12):
        (root / "x" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        picture(number % 2, number, (9, 15)).convert("L").save(
            root / "x" / str(number % 2) / f"{number}.png"
        )
    return "folder:x"


@pytest.mark.parametrize("make", [class_folder, in_the_folder_itself, splits, table, arrays, grey])
def test_what_is_written_fits_the_only_data_set(make, here):
    name = make(here)
    project = xt.init()
    config = xt.load_config()
    assert config.dataset.name == name
    data = xt.load_dataset(**config.dataset.model_dump())
    assert data.image_shape == project.report.dataset.image_shape
    assert config.training.batch_size <= max(4, len(data.train))
    namespace = {}
    exec(project.model.read_text(encoding="utf-8"), namespace)
    hypermodel = namespace["MyModel"](data.image_shape, data.classes)
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert model.output_shape == (None, data.classes)


def test_a_new_folder_has_the_path_as_seen_from_there(here, monkeypatch):
    arrays(here)
    done = CliRunner().invoke(main, ["init", "new/one", "--dataset", "npz:a b.npz"])
    assert done.exit_code == 0, done.output
    assert "40" in done.stdout and "cd new/one" in done.stderr
    monkeypatch.chdir(here / "new/one")
    config = xt.load_config()
    assert config.dataset.name == "npz:../../a b.npz"
    assert len(xt.load_dataset(config.dataset.name).train) == 24


def test_a_link_to_a_folder_elsewhere_has_a_path_that_leads_back(here, tmp_path, monkeypatch):
    name = arrays(here)
    (tmp_path / "deep/elsewhere").mkdir(parents=True)
    (here / "link").symlink_to(tmp_path / "deep/elsewhere")
    xt.init("link", name)
    monkeypatch.chdir(here / "link")
    assert len(xt.load_dataset(xt.load_config().dataset.name).train) == 24


def test_few_photographs_start_from_a_trained_network_that_is_here(here, tmp_path):
    make_folder(here / "pets", PETS, (70, 64), formats=("png",))
    said = []
    project = xt.init("without", "folder:pets", said.append)
    assert "trains networks from scratch" in said[-1] and str(tmp_path / "keras") in said[-1]
    assert "class MyModel" in project.model.read_text(encoding="utf-8")
    weights = tmp_path / "keras" / "models" / _WEIGHTS
    weights.parent.mkdir(parents=True)
    weights.touch()
    said.clear()
    project = xt.init(log=said.append)
    assert not any("from scratch" in text for text in said)
    assert xt.load_config().space.hypermodel == "mine:TransferLearning"
    assert "class TransferLearning" in project.model.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["xnas.yaml", "mine.py"])
def test_nothing_is_overwritten(name, here):
    class_folder(here)
    (here / name).write_text("mine")
    done = CliRunner().invoke(main, ["init"])
    assert done.exit_code == 2 and f"already has {name}; nothing was written" in done.output
    assert (here / name).read_text() == "mine"
    assert len(list(here.glob("xnas.yaml")) + list(here.glob("mine.py"))) == 1


def two(root):
    arrays(root, "a.npz"), arrays(root, "b c.npz")


def one_class(root):
    make_folder(root / "pets", {"cat": 10})


def corrupt(root):
    make_folder(root / "pets", PETS)
    for file in list(root.rglob("*.png")):
        file.write_text("no image")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "not given, and . has no folder with one folder of images per class"),
        (two, "has several; allowed: npz:a.npz, 'npz:b c.npz'"),
        (one_class, "folder:pets: all images are of one class"),
        (corrupt, "4 of 20 images cannot be decoded; allowed: 10%"),
    ],
)
def test_what_is_no_data_set_or_several_is_refused(make, message, here):
    make(here)
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        xt.init()
    assert not (here / "xnas.yaml").exists()


def test_what_a_search_leaves_beside_the_classes_is_no_class(here):
    make_folder(here, PETS)
    digest = xt.load_dataset("folder:.").digest
    make_folder(here / "runs/xnas", {"explanations": 3})
    (here / "runs/xnas/run.sqlite").touch()
    (here / "__pycache__").mkdir()
    (here / "__pycache__" / "mine.pyc").touch()
    again = xt.load_dataset("folder:.")
    assert again.digest == digest and not again.findings.empty


def test_a_configuration_is_no_data_set(here):
    (here / "other.yaml").write_text("dataset: digits")
    with pytest.raises(InputError, match="unknown data set 'other.yaml'"):
        xt.init(".", "other.yaml")
    with pytest.raises(InputError, match="`folder` is of type Config; allowed: a path"):
        xt.init(xt.Config())
