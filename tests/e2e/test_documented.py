"""Each page is read from top to bottom: its files are written, its commands and Python are run.

They run in one folder for each page, with what the page takes for granted: the configurations,
with a tiny search in place of the quickstart, a run of it, images of pets, a model. What is not
run stands below with the reason.
"""

import glob
import os
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

import xnas_tf as xt
from tests.documented import ROOT, commands, name_of, pages, steps
from tests.e2e.conftest import TINY, environment
from xnas_tf.cli import main
from xnas_tf.config import dump_config, load_config

GPU = "needs a GPU"
NETWORK = "needs a network"
RAY = "tests/e2e/test_ray.py runs it on what takes seconds"
HOSTS = "needs several hosts, or a cluster"
HOURS = "takes hours"
SETS_UP = "changes the machine's set-up"
NOT_RUN = {
    "bin/test": "runs this test",
    "bin/docs": "run by tests/e2e/test_site.py, but for the set-up",
    "tensorboard --logdir runs/quickstart/tensorboard": "run by tests/e2e/test_tensorboard.py",
    "horovodrun -np 4 xnas-tf interpret model.keras --dataset mnist5k": (
        "run with two ranks by tests/e2e/test_horovod.py"
    ),
    "horovodrun -np 8 xnas-tf disentangle runs/quickstart": (
        "run with two ranks by tests/e2e/test_horovod.py"
    ),
    "horovodrun -np 8 xnas-tf retrain runs/quickstart --pareto": (
        "run with two ranks by tests/e2e/test_retraining.py"
    ),
    "bin/setup --gpu horovod": NETWORK,
    "xnas-tf search CONFIG --engine ray --groups 4": RAY,
    "xnas-tf search CONFIG --address HOST:6379": RAY,
    "xnas-tf search CONFIG --engine ray --set distributed.ranks_per_candidate=2": RAY,
    "bin/setup horovod": SETS_UP,
    "bin/setup --system": SETS_UP,
    "XNAS_PYTHON=/opt/tensorflow/bin/python bin/setup --system": SETS_UP,
    "module load tensorflow": HOSTS,
    "mpirun -np 2 xnas-tf search configs/quickstart.yaml": "needs a Horovod with MPI",
    "pip install . setuptools wheel 'cmake<4' packaging": NETWORK,
    "HOROVOD_CMAKE=$PWD/bin/cmake-for-horovod "
    "HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 "
    "HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 pip install --no-build-isolation '.[horovod]'": (
        NETWORK
    ),
    "python benchmarks/debuggability.py --figure docs/images/debuggability.png": HOURS,
    "python benchmarks/ground_truth.py 4": HOURS,
    "horovodrun -np 8 xnas-tf search CONFIG": "run with two ranks by tests/e2e/test_horovod.py",
    "ray get-auth-token --generate": HOSTS,
    "RAY_AUTH_MODE=token ray start --head": HOSTS,
    "RAY_AUTH_MODE=token ray start --address FIRST:6379": HOSTS,
    "xnas-tf search CONFIG --address FIRST:6379": RAY,
    "xnas-tf search configs/xnas-cifar10.yaml": GPU,
    "xnas-tf search configs/xnas-cifar10-control.yaml": GPU,
    "xnas-tf pareto runs/xnas-cifar10-control --all --format csv": GPU,
    "xnas-tf disentangle vgg16.keras --dataset folder:imagenet --preset vgg16 --false-alarms 1": (
        "needs ImageNet"
    ),
    "xnas-tf status runs/xnas-cifar10 --plot groups.png": GPU,
    "bin/setup --gpu": NETWORK,
    "sbatch examples/search.sbatch CONFIG --run-dir runs/long": HOSTS,
    "xnas-tf status runs/long": HOSTS,
    "tail -f slurm-*.out": HOSTS,
}
SCRIPTS = {"#SBATCH": "tests/e2e/test_slurm.py submits it"}
"""Whole scripts that are not run, by what they have in them."""

REPLACED = {
    "bin/xnas-tf": "xnas-tf",  # what it sets up was set up before the tests
    "runs/phone": "runs/quickstart",
    "--dataset mnist5k": "--dataset digits",  # what the tiny search has learned
    "search.candidates=24": "search.candidates=5",
    "--epochs 200 --seeds 5": "",
    "--set space.channels=32 --set space.cells_per_stack=5": "--set space.channels=4",
}
FEW = "--set training.epochs=3 --set search.candidates=2 --set search.population=2"
SHORTENED = {
    "xnas-tf search configs/phone.yaml": (
        "--set dataset=digits --set training.epochs=1 --set search.candidates=2 "
        "--set search.population=2 --set space.channels=2"
    ),
    # The copy of configs/quickstart.yaml is short already.
    'xnas-tf search configs/quickstart.yaml --set "search.fid': "--set training.epochs=3",
    "xnas-tf search configs/quickstart.yaml": "",
    "xnas-tf search configs/objective.yaml": f"{FEW} --set space.channels=2",
    "xnas-tf search": FEW,
    # Random weights stand in for ImageNet's, and learn too little to be recommended.
    "xnas-tf explain runs/transfer": "--count 2 --candidate best",
    "xnas-tf export runs/transfer": "--candidate best",
    "xnas-tf explain": "--count 2",
    # A tiny network knows few of the classes.
    "xnas-tf disentangle model.keras": "--epochs 1 --images 6 --classes 0,1,2,4,5,6,7,9",
    "xnas-tf disentangle": "--epochs 1 --images 6",
    "xnas-tf interpret": "--epochs 1 --attributes 4",
    "xnas-tf report": "--images 1",
    "xnas-tf retrain": "--epochs 1 --seeds 1",
}
"""What is added to commands that begin so: shorter trainings, fewer images."""
TEXT = {
    '"mnist5k"': '"digits"',
    '"runs/phone"': '"runs/quickstart"',
    "epochs=10, images=100": "epochs=1, images=6",
    '"digits", "posthoc")': '"digits", "posthoc", epochs=1, attributes=4)',
    "epochs=12": "epochs=1",
    "model.fit(images": "model.fit(inputs",  # as its line says, in [0, 1]
    "images=16": "images=1",
    "steps=64": "steps=4",
    "run, epochs=30": "run, epochs=1, seeds=1",
    "space.channels=16": "space.channels=4",
    "(2, 28, 28, 1)": "(2, 8, 8, 1)",
    "keras.Input((28, 28, 1))": "keras.Input((8, 8, 1))",
    "[0.485, 0.456, 0.406]": "[0.485]",  # the model of the tests takes grey images
    "[0.229**2, 0.224**2, 0.225**2]": "[0.229**2]",
    "keras.Input((224, 224, 3))": "keras.Input((32, 32, 3))",
    "vgg16.VGG16()": "vgg16.VGG16(weights=None, classes=10, input_shape=(32, 32, 3))",
    "max_trials=40": "max_trials=2",
    "epochs=10, batch_size=32": "epochs=1, batch_size=32",
    "{size: 128, weights: imagenet}": "{size: 32, weights: null}",
}
"""What is replaced in the pages' Python and files, for the same reason."""
BEGINS_THERE = {"README.md", "docs/get-started/quickstart.md", "docs/tutorials/digits.md"}
"""Pages on which the reader searches first: there is no run before."""
COMMANDS = commands()


def is_left_out(command):
    return command in NOT_RUN or any(part in command for part in SCRIPTS)


def is_acted_on(page):
    return any(s.kind == "python" or not is_left_out(s.text) for s in steps(page) if not s.file)


@pytest.fixture(scope="module")
def prepared(finished, tmp_path_factory):
    """The folder in which a reader works: a checkout with a tiny quickstart, images and a model."""
    folder = tmp_path_factory.mktemp("documented")
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "configs" / "quickstart.yaml").write_text(dump_config(load_config(None, TINY)))
    for name in ("quickstart", "xnas-cifar10"):
        shutil.copytree(finished[0], folder / "runs" / name)
    shutil.copy(sorted((finished[0] / "models").glob("*.keras"))[0], folder / "model.keras")
    rng = np.random.default_rng(0)
    for number in range(120):  # each kind has a colour, which is learned at once
        place = folder / "pets" / ("cat", "dog", "horse")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, (36, 36, 3), dtype=np.uint8)
        pixels[..., number % 3] += 150
        PIL.Image.fromarray(pixels).save(place / f"{number}.jpg")
    for number in range(2):
        PIL.Image.fromarray(pixels[:8, :8, number]).save(folder / f"{number}.png")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "home/.config/fish/completions").mkdir(parents=True)
    return folder


@pytest.fixture
def here(prepared, tmp_path, monkeypatch):
    """A copy of it, which is the current folder, and home too."""
    place = shutil.copytree(prepared, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.syspath_prepend(place)
    yield place
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("page", [*filter(is_acted_on, pages())], ids=name_of)
@pytest.mark.long
def test_a_page_from_top_to_bottom(page, here):
    """Its files are written, its commands and Python run, in the order of the page."""
    if name_of(page) in BEGINS_THERE:
        shutil.rmtree(here / "runs")
    keras.utils.set_random_seed(0)  # random operations of deterministic tests need one
    names = reader_names()
    for step in steps(page):
        if step.kind == "command":
            if not is_left_out(step.text):
                run(step.text)
            continue
        text = replaced(step.text, TEXT)
        if step.kind == "python":
            exec(compile(text, name_of(page), "exec"), names)
        elif not (here / step.file).exists():
            (here / step.file).write_text(text)


def reader_names():
    """What the pages' Python takes for granted."""
    digits = xt.load_dataset("digits")
    test, few = digits.test.take(slice(20)), digits.train.take(slice(96))
    return {
        "x_train": few.images,
        "y_train": few.labels,
        "x_val": test.images,
        "y_val": test.labels,
        "model": keras.models.load_model("model.keras"),
        "images": test.images,
        "labels": test.labels,
        "inputs": test.images / np.float32(255),
    }


def replaced(text, changes):
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def run(command):
    """Runs a command as the shell would, xnas-tf in this process, which has TensorFlow."""
    command = replaced(command, REPLACED)
    more = next((more for start, more in SHORTENED.items() if command.startswith(start)), "")
    command = f"{command} {more}".strip()
    if not command.startswith("xnas-tf "):
        done = subprocess.run(
            ["bash", "-ec", command], env=environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return
    words = [
        path for word in shlex.split(command)[1:] for path in (sorted(glob.glob(word)) or [word])
    ]
    done = CliRunner().invoke(main, words, prog_name="xnas-tf")
    assert done.exit_code == 0, f"{command}\n{done.output}{done.exception!r}"


def test_what_is_not_run_is_still_documented():
    assert set(NOT_RUN) <= set(COMMANDS)
    for part in SCRIPTS:
        assert any(part in command for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if is_left_out(c)])
def test_what_is_not_run_is_right_for_the_shell(command):
    assert subprocess.run(["bash", "-n"], input=command, text=True).returncode == 0


@pytest.mark.long
def test_bash_completes(here):
    """With the line of docs/get-started/installation.md in a new shell."""
    line = next(c for c in COMMANDS if "bash_source" in c)
    ask = """
    source ~/.bashrc
    COMP_WORDS=(xnas-tf status runs/q) COMP_CWORD=2
    compopt() { :; }
    _xnas_tf_completion xnas-tf
    echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-ec", f"{line}\n{ask}"],
        env={**environment(), "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "runs/quickstart", done.stderr


@pytest.mark.long
def test_the_notebook_runs(here):
    """In a kernel, as Jupyter does."""
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "docs/get-started/notebook.ipynb", 4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(here)}})
    client.execute()
    assert (here / "runs/notebook/report.html").is_file()
