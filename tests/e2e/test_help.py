import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT, xnas

COMMANDS = [
    "data",
    "search",
    "pareto",
    "status",
    "retrain",
    "export",
    "explain",
    "disentangle",
    "interpret",
    "report",
    "doctor",
]


@pytest.mark.parametrize(
    "command", [[], *([c] for c in COMMANDS)], ids=lambda c: " ".join(c) or "-"
)
def test_help_has_an_example(command, tmp_path):
    assert "Example:" in xnas(*command, "--help", cwd=tmp_path).stdout


def test_launch_says_what_replaces_it(tmp_path):
    words = ["launch", "-np", 8, "-H", "a:4,b:4", "--", "search", "my.yaml", "--fresh"]
    said = " ".join(xnas(*words, cwd=tmp_path, code=2).stderr.split())
    assert "xnas-tf search my.yaml --fresh --engine ray" in said


def test_search_help_names_the_sections(tmp_path):
    text = " ".join(xnas("search", "--help", cwd=tmp_path).stdout.split())
    for section in ("dataset", "space", "objectives", "constraints", "training", "search"):
        assert section in text


@pytest.mark.parametrize(
    "code",
    [
        "from xnas_tf.cli import main; main(['--help'], standalone_mode=False)",
        "import xnas_tf, xnas_tf.config, xnas_tf.strategy, xnas_tf.storage.run",
        "import xnas_tf.reporting.status, xnas_tf.reporting.candidate_tables",
    ],
)
def test_what_needs_no_tensorflow_imports_none(code):
    check = f"{code}\nimport sys; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras')))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pareto", "nowhere"], "nowhere is not a run: it does not exist"),
        (["status", "."], "is not a run"),
        (["export", "nowhere"], "is not a run"),
        (["search", "--set", "training.epocks=1"], "did you mean 'epochs'"),
    ],
)
def test_bad_input_ends_with_2(words, message, tmp_path):
    assert message in xnas(*words, cwd=tmp_path, code=2).stderr


def test_doctor_reports_versions_and_devices(tmp_path):
    text = xnas("doctor", cwd=tmp_path).stdout
    for name in ("tensorflow", "keras", "horovod", "GPUs", "platypus-opt"):
        assert name in text
