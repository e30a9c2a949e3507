"""A real Slurm of two nodes runs the very script of docs/how-to/scaling.md."""

import shutil
import subprocess
import time

import pytest

from tests.documented import blocks
from tests.e2e.conftest import BIN, ROOT, tiny
from tests.e2e.records import candidates_of, check_whole
from tests.e2e.slurm_lab import is_possible, slurm

SCRIPT = ROOT / "examples" / "search.sbatch"
CANDIDATES = 8
WORDS = tiny(
    f"search={{candidates: {CANDIDATES}, population: 4}}",
    "training={epochs: 60, batch_size: 16, checkpoint_minutes: 0.02}",
    "objectives=[error, parameters]",
)


def test_the_page_shows_the_script():
    assert SCRIPT.read_text() in blocks(ROOT / "docs/how-to/scaling.md", "sh")


def test_a_job_that_would_begin_again_each_time_is_refused(tmp_path):
    words = ["bash", SCRIPT, "quickstart", "--fresh"]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stderr.startswith("leave out --fresh")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if not is_possible():
        pytest.skip("needs root, and Debian's slurmctld, slurmd, slurm-client, munge, iproute2")
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def job(lab, tmp_path):
    """A search that Slurm runs, until the test ends."""
    (tmp_path / ".venv").symlink_to(BIN.parent)
    shutil.copy(SCRIPT, tmp_path)
    job = Job(lab, tmp_path)
    yield job
    lab.run("head", "scancel", job.number or "0")


class Job:
    """What Slurm and the run directory know of a search."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.number = lab, folder, None

    def submit(self, *options):
        words = ["--parsable", "--chdir", self.folder, "--output", self.folder / "output"]
        words += [*options, self.folder / SCRIPT.name, *WORDS, "--run-dir", "run"]
        self.number = self.lab.run("head", "sbatch", *words, cwd=self.folder).strip()
        self.wait(lambda: list((self.folder / "run" / "checkpoints").glob("*.npz")))

    def state(self):
        return self.lab.run(
            "head", "squeue", "-h", "-t", "all", "-j", self.number, "-o", "%T"
        ).strip()

    def is_done(self):
        assert self.state() not in ("FAILED", "TIMEOUT", "CANCELLED"), self.output()
        return self.state() == "COMPLETED"

    def output(self):
        return (self.folder / "output").read_text()

    def wait(self, condition, seconds=900):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.output()
            time.sleep(0.5)
        return value

    def check(self):
        """All candidates were done once."""
        self.wait(self.is_done)
        assert all(c.state == "done" for c in check_whole(self.folder / "run", CANDIDATES))


@pytest.mark.long
def test_a_job_whose_time_is_over_queues_itself_again(job):
    job.submit("--time=2", "--signal=B:TERM@60")
    job.wait(lambda: "SIGTERM" in job.output())
    assert any(c.state == "running" for c in candidates_of(job.folder / "run"))
    job.lab.run("head", "scontrol", "update", f"JobId={job.number}", "TimeLimit=30")
    job.check()


@pytest.mark.long
def test_a_preempted_job_goes_on(job):
    job.submit()
    urgent = ["--partition=high", "--nodes=2", "--exclusive", "--wrap", "sleep 5", "--parsable"]
    job.lab.run("head", "sbatch", *urgent, "--output=/dev/null", cwd=job.folder)
    job.wait(lambda: job.state() == "PENDING")
    job.check()


@pytest.mark.long
def test_a_node_without_power_costs_its_group_alone(job):
    job.submit()
    job.lab.cut_power("hostb")
    job.wait(lambda: "was lost and is replaced" in job.output())
    assert job.state() == "RUNNING"
    try:
        job.check()
    finally:
        job.lab.start("hostb")


@pytest.mark.long
def test_a_cancelled_step_queues_the_job_again(job):
    """The step is what runs Ray; the script goes on."""
    job.submit()
    job.lab.run("head", "scancel", "--signal=KILL", f"{job.number}.0")
    job.check()
