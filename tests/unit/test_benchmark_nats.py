"""NATS-Bench's own files, written in its own package's form."""

import pytest

from xnas_tf.benchmark.table import read_table
from xnas_tf.errors import InputError

nats_bench = pytest.importorskip("nats_bench", reason="bin/setup dev installs nats-bench")

CELLS = (
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
)
SEEDS = (777, 888)
EPOCHS = 2


def accuracy(cell, seed, dataset):
    return 50.0 + 10 * cell + (seed == 888) + len(dataset) / 100


def results(cell, epochs):
    """What the package keeps of one cell's trainings."""
    kept = nats_bench.ArchResults(cell, CELLS[cell])
    for dataset in ("cifar10", "cifar100"):
        for seed in SEEDS if dataset == "cifar10" else SEEDS[:1]:
            last = accuracy(cell, seed, dataset) if epochs == EPOCHS else 1.0
            flat = dict.fromkeys(range(epochs), 1.0)
            one = nats_bench.ResultsCount(
                dataset, None, flat, flat, 0.5 + cell, 30.0 + cell, {}, seed, epochs, None
            )
            one.train_times = flat
            parts = ["ori-test"] if dataset == "cifar10" else ["ori-test", "x-test", "x-valid"]
            for part in parts:
                one.eval_names.append(part)
                for epoch in range(epochs):
                    key = f"{part}@{epoch}"
                    one.eval_acc1es[key] = last if epoch == epochs - 1 else 2.0
                    one.eval_losses[key] = one.eval_times[key] = 1.0
            if dataset == "cifar10" or cell == 0:  # one latency of cifar100 is not known
                one.update_latency([0.01 * (cell + 1)])
            kept.update(dataset, seed, one)
    return kept.state_dict()


@pytest.fixture(params=["folder", "file"])
def published(request, tmp_path):
    infos = [{"1": results(c, 1), str(EPOCHS): results(c, EPOCHS)} for c in range(len(CELLS))]
    meta = {"meta_archs": list(CELLS), "evaluated_indexes": list(range(len(CELLS)))}
    if request.param == "file":
        whole = meta | {"arch2infos": dict(enumerate(infos))}
        nats_bench.pickle_save(whole, str(tmp_path / "NATS-tss.pickle"))
        return tmp_path / "NATS-tss.pickle.pbz2"
    nats_bench.pickle_save(meta, str(tmp_path / "meta.pickle"))
    for number, info in enumerate(infos):
        nats_bench.pickle_save(info, str(tmp_path / f"{number:06d}.pickle"))
    return tmp_path


def test_the_means_of_the_longest_trainings_are_read(published, capsys):
    table = read_table(published)
    assert table.genotypes == CELLS
    for cell in range(len(CELLS)):
        both = sum(accuracy(cell, seed, "cifar10") for seed in SEEDS) / 2
        assert table.column("cifar10_test_accuracy")[cell] == pytest.approx(both)
        one = accuracy(cell, 777, "cifar100")
        assert table.column("cifar100_valid_accuracy")[cell] == pytest.approx(one)
        assert table.column("cifar10_latency")[cell] == pytest.approx(0.01 * (cell + 1))
        assert table.column("cifar100_params")[cell] == 0.5 + cell
    assert capsys.readouterr().out == ""


def test_what_is_not_known_of_all_cells_is_left_out(published):
    columns = read_table(published).columns
    assert "cifar100_latency" not in columns and "cifar10_valid_accuracy" not in columns


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.pbz2").write_bytes(b"no pickle")
    for path in (tmp_path, tmp_path / "x.pbz2"):
        with pytest.raises(InputError, match="not readable as NATS-Bench"):
            read_table(path)
