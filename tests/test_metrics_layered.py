"""A metric and a layer from a probe to a table: one word on disk, two everywhere else."""

import math
import re
from pathlib import Path

import pyarrow.parquet as pq

from normlab.metrics.layered import Layered, each, layered, named, unnamed
from normlab.probes.base import defined, spread
from normlab.records.recorder import FolderRecorder
from normlab.records.rows import read_rows

ROOT = Path(__file__).resolve().parent.parent
VALUES: Layered[float] = {
    "train/loss": 0.5,
    "ics/l2": {"conv2": 0.1, "block1.conv2": 0.2},
    "activations/after_norm/mean": {"conv1": 0.3},
}
NAMES = {
    "train/loss": 0.5,
    "ics/l2/conv2": 0.1,
    "ics/l2/block1.conv2": 0.2,
    "activations/after_norm/mean/conv1": 0.3,
}


def test_by_layer_and_by_name_are_each_other_s_inverse() -> None:
    assert named(VALUES) == NAMES
    assert unnamed(NAMES) == VALUES
    assert layered(each(VALUES)) == VALUES
    assert unnamed({"of/older/days": 1.0}) == {"of/older/days": 1.0}


def test_what_does_not_exist_is_left_out() -> None:
    values: Layered[float] = {"train/loss": math.nan, "ics/l2": {"conv2": 0.1, "conv3": math.nan}}
    assert defined(values) == {"ics/l2": {"conv2": 0.1}}
    assert defined({"ics/l2": {"conv2": math.nan}}) == {}


def test_the_spread_over_replicates_keeps_layers_apart() -> None:
    replicates: list[Layered[float]] = [
        {"curvature/trace": 1.0, "ics/l2": {"conv2": 2.0, "conv3": math.nan, "conv4": math.inf}},
        {"curvature/trace": 3.0, "ics/l2": {"conv2": 6.0, "conv3": 1.0, "conv4": 1.0}},
    ]
    assert spread(replicates) == {
        "curvature/trace_mean": 2.0,
        "curvature/trace_spread": math.sqrt(2),
        "ics/l2_mean": {"conv2": 4.0, "conv4": math.inf},
        "ics/l2_spread": {"conv2": math.sqrt(8)},
    }
    assert spread(replicates[:1]) == {}


def test_on_disk_a_metric_and_its_layer_are_one_word(tmp_path: Path) -> None:
    with FolderRecorder(tmp_path) as recorder:
        recorder.record(3, VALUES)
        recorder.flush()
        (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert line == (
            '{"step":3,"train/loss":0.5,"ics/l2/conv2":0.1,"ics/l2/block1.conv2":0.2,'
            '"activations/after_norm/mean/conv1":0.3}'
        )
        while_running = read_rows(tmp_path)
        recorder.finish()
    columns = pq.read_table(tmp_path / "metrics.parquet").column_names
    assert columns == ["step", *sorted(NAMES)]
    for rows in (while_running, read_rows(tmp_path)):
        assert set(rows.columns) == {
            ("train/loss", None),
            ("ics/l2", "conv2"),
            ("ics/l2", "block1.conv2"),
            ("activations/after_norm/mean", "conv1"),
        }


def test_nothing_else_joins_or_parts_a_metric_and_its_layer() -> None:
    """By eye, and by this: no other code takes a name apart at its slashes."""
    parts = re.compile(r"""\.(r?partition|r?split)\(\s*["']/["']""")
    found = {
        f"{path.name}: {line.strip()}"
        for folder in ("src", "experiments")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if parts.search(line)
    }
    others = {
        'image_folder.py: return name.split("/", 1)[0]',  # a member of an archive
        'recorder.py: parts = name.split("/")',  # a file of an array
        'registry.py: of_network, _, layer = name.rpartition("/")',  # of a name that nothing has
        'registry.py: return name.partition("/")[0].replace("_", " ")',  # a family's title
    }
    assert found <= others
