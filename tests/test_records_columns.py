"""The fixed columns of every tidy table, and what is shown first of a run, are written once."""

import re
from pathlib import Path

from normlab.metrics import HEADLINES, METRICS, family_of
from normlab.records.columns import OF_NUMBER, OF_RUN, TIDY, factor_columns, settings_of

SOURCE = Path(__file__).resolve().parents[1] / "src" / "normlab"


def test_what_is_no_fixed_column_is_a_setting() -> None:
    columns = [*TIDY, "state", "norm", "optimizer.lr"]
    assert settings_of(columns) == ["norm", "optimizer.lr"]
    assert factor_columns(columns) == ["cell", "seed", "layer", "state", "norm", "optimizer.lr"]


def test_no_other_file_lists_the_columns_or_the_headlines() -> None:
    lists = [", ".join(f'"{name}"' for name in names) for names in (OF_RUN, OF_NUMBER[:3])]
    lists += [r'"test/accuracy", "(test|train)/', r'"train/loss", "train/accuracy"']
    written = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for text in [path.read_text(encoding="utf-8")]
        if any(re.search(rf"\(\s*{one}", text) for one in lists)
    }
    assert written == {"records/columns.py"}


def test_every_metric_of_normlab_has_a_family_and_every_headline_is_one() -> None:
    assert set(HEADLINES) <= set(METRICS)
    assert family_of("optimizer/lr") == "learning rate and time"
    assert {family_of(name) for name in HEADLINES} == {"accuracy and loss"}
