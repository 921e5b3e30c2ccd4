import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recorded_runs import claimed_run

from normlab import metrics
from normlab.records.rows import LINES, read_rows
from normlab.tracking.rows import OrderedRows, Row, best_values


def append(folder: Path, *lines: str) -> None:
    with (folder / LINES).open("a") as file:
        file.write("".join(lines))


def as_pairs(rows: Iterable[Row]) -> list[tuple[int, dict[str, Any]]]:
    return [(row.step, row.values) for row in rows]


def test_a_row_is_given_once_whole_and_in_order(tmp_path: Path) -> None:
    rows = OrderedRows(tmp_path, first_step=0)
    assert as_pairs(rows.whole()) == []
    append(tmp_path, '{"step": 0, "train/loss": 1.5}\n', '{"step": 0, "optimizer/lr": 0.1}\n')
    assert as_pairs(rows.whole()) == []
    append(tmp_path, '{"step": 1, "train/loss": NaN}\n', '{"step": 2, "train/lo')
    assert as_pairs(rows.whole()) == [(0, {"train/loss": 1.5, "optimizer/lr": 0.1})]
    append(tmp_path, 'ss": Infinity}\n')
    ((step, values),) = as_pairs(rows.whole())
    assert step == 1
    assert math.isnan(values["train/loss"])
    rest = rows.rest([{"step": 0, "train/loss": 1.5}, {"step": 2, "train/loss": math.inf}])
    assert as_pairs(rest) == [(2, {"train/loss": math.inf})]
    assert as_pairs(rows.whole()) == []


def test_rows_a_server_has_are_not_given(tmp_path: Path) -> None:
    append(tmp_path, *(f'{{"step": {step}, "train/loss": 1.0}}\n' for step in range(6)))
    rows = OrderedRows(tmp_path, first_step=3)
    assert [row.step for row in rows.whole()] == [3, 4]
    assert [row.step for row in rows.rest([{"step": 2}, {"step": 5, "train/loss": 1.0}])] == [5]


def test_a_line_for_a_row_already_given_is_an_error(tmp_path: Path) -> None:
    append(tmp_path, *(f'{{"step": {step}, "train/loss": 1.0}}\n' for step in range(3)))
    rows = OrderedRows(tmp_path, first_step=0)
    list(rows.whole())
    append(tmp_path, '{"step": 1, "test/loss": 1.0}\n')
    with pytest.raises(ValueError, match="out of the order of their steps"):
        list(rows.whole())


def test_histograms_come_with_their_row_or_make_one(tmp_path: Path) -> None:
    histogram = metrics.Metric(
        name="activation/counts", label="activations", doc="", per_layer=True, histogram=True
    )
    metrics.register(histogram)
    with claimed_run(tmp_path, "mlp-a") as (folder, recorder):
        for step in (0, 5):
            recorder.record_array(step, "activation/counts/linear1", np.zeros((2, 4)))
        recorder.record_array(0, "ics/curve", np.zeros(3))
        recorder.record(0, {"train/loss": 1.0})
        recorder.record(7, {"train/loss": 1.0})
        recorder.flush()
        rows = list(OrderedRows(folder.path, first_step=0).whole())
    assert [(row.step, list(row.histograms)) for row in rows] == [
        (0, ["activation/counts/linear1"]),
        (5, ["activation/counts/linear1"]),
    ]


def test_best_values_follow_the_direction_and_skip_what_is_not_finite(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "test/accuracy": 0.1, "train/loss": 2.0, "optimizer/lr": 0.1},
        {"step": 1, "test/accuracy": 0.7, "train/loss": 0.5, "ics/l2/conv2": 1.0},
        {"step": 2, "test/accuracy": 0.3, "train/loss": math.nan, "unheard/of": 1.0},
    ]
    append(tmp_path, *(f"{json.dumps(line)}\n" for line in lines))
    assert best_values(read_rows(tmp_path)) == {"best/test/accuracy": 0.7, "best/train/loss": 0.5}
