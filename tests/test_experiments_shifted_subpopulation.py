"""The experiment `shifted_subpopulation`: its claims' functions and its figure."""

import pandas as pd
import pytest

from experiments.shifted_subpopulation import claims, figure


def made_table() -> pd.DataFrame:
    """One seed: dark 0.6 to 0.2 with batch normalization, 0.5 to 0.3 without; then 0.5 and 0.45."""
    rows = []
    for norm, own, new, later in (("batch", 0.6, 0.2, 0.5), ("none", 0.5, 0.3, 0.45)):
        name = f"dark norm={norm}"
        rows += [
            {"arm": name, "norm": norm, "step": s, "value": v} for s, v in ((0, 0.1), (9, own))
        ]
        child = {"norm": norm, "start_from": f"{name}@end"}
        text = f"norm={norm} start_from={name}@end"
        rows.append({**child, "arm": f"on new images {text}", "step": 0, "value": new})
        for step, value in ((0, new), (4, later)):
            rows.append({**child, "arm": f"trained on {text}", "step": step, "value": value})
        if norm == "batch":
            rows.append({**child, "arm": f"statistics anew {text}", "step": 0, "value": 0.4})
            facts = {"arm": f"on new images {text}", "step": 0, "metric": "test/precise_accuracy"}
            rows.append({**child, **facts, "value": 0.23})
    table = pd.DataFrame(rows).assign(seed=3, state="finished", outcome="trained", layer=None)
    table["metric"] = table["metric"].fillna("test/accuracy")
    return table.assign(chance=0.1, cell=table["arm"], run=table["arm"] + "-s3")


def test_what_a_shift_costs_is_compared_by_seed() -> None:
    table = made_table()
    assert claims.softened_from_dark(table) == {3: pytest.approx(0.2 - 0.4)}
    assert claims.caught_up_from_dark(table) == {3: pytest.approx(0.05 - 0.1)}
    assert claims.precise_over_running_after_dark(table) == {3: pytest.approx(0.03)}
    assert claims.softened_from_grey(table) == {}


def test_the_figure_has_the_stages_in_order() -> None:
    rows = figure.staged(made_table())
    last = rows.sort_values("step").groupby(["norm", "images"])["value"].last()
    assert last["batch"].tolist() == [0.6, 0.2, 0.4, 0.5]
    assert last["none"].tolist() == [0.5, 0.3, 0.45]
    assert set(rows["kind"]) == {"dark"}
    titles = [axis.get_title() for axis in figure.draw(made_table()).figure.axes]
    assert "trained on dark images" in titles
    assert "trained on grey images" not in titles
