"""The paper's figures 3 and 4 (error over training by three kinds of statistics), what figure 2
shows of one channel (how far running means lag) for all, and table 2 with its values beside ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels
from normlab.figures.limits import share_limits

from .claims import milestones, watched

PUBLISHED = Path(__file__).with_name("published.csv")
RUNNING, POPULATION, BATCH = "running averages", "population", "mini-batch"
ERROR, DISTANCE = "statistics_gap/error_precise", "statistics_gap/ema_mean"
"""Names under which the kinds of statistics are drawn together, told apart by `statistics`."""
NBS = "normalization batch size of training"
LARGE_SIZE = 1000
SIZE, SAMPLES = "batch size of the statistics", "samples of the statistics"


def draw(table: pd.DataFrame) -> Sheet:
    errors = _together(
        table[table["step"] > 0],  # before training all are at chance, far above what is compared
        ERROR,
        {
            RUNNING: "statistics_gap/error_ema",
            POPULATION: "statistics_gap/error_precise",
            BATCH: "statistics_gap/error_batch",
        },
    )
    distances = _together(
        table,
        DISTANCE,
        {RUNNING: "statistics_gap/ema_mean", BATCH: "statistics_gap/batch_mean"},
    )
    final = _final(table)
    followed = watched(table)
    arms = followed[["batch_size", "optimizer.lr", "steps"]].drop_duplicates()
    by_error: list[Panel] = []
    by_distance: list[Panel] = []
    for size, rate, steps in sorted(arms.itertuples(index=False)):
        where = {"batch_size": size, "optimizer.lr": rate, NBS: None}
        decays = [
            Reference(value=share * steps, label="lr / 10", axis="x")
            for share in milestones(followed)
        ]
        title = f"batch {size:g}, learning rate {rate:g}"
        by_error.append(
            Panel(y=ERROR, y_label="test error", where=where, title=title, references=decays)
        )
        by_distance.append(
            Panel(
                y=DISTANCE,
                y_label="distance in deviations",
                where=where,
                title="from the population's means",
                references=decays,
            )
        )
    by_size = [
        Panel(
            y=ERROR,
            x=SIZE,
            y_label=f"final test error above\nthat of batches of {LARGE_SIZE:,}",
            where={NBS: nbs, SAMPLES: None},
            title=f"trained at NBS {nbs}; dotted: ImageNet",
            published=_published(nbs),
        )
        for nbs in (32, 2)
    ]
    by_samples = Panel(
        y=ERROR,
        x=SAMPLES,
        y_label="final test error above\nthat of most samples",
        where={NBS: 32, SIZE: None},
        title="trained at NBS 32",
    )
    drawn = pd.concat([errors, distances, final], ignore_index=True)
    curves = [row for row in (by_error, by_distance) if row]
    sheet = draw_panels(drawn, [*curves, [*by_size, by_samples]], hue="statistics")
    for row in curves:
        share_limits(map(sheet.axis, row))
    for axis in map(sheet.axis, by_size):
        axis.set_xticks([2, 10, 100, 1000, 10000], ["2", "10", "100", "1,000", "10,000"])
    return sheet


def _together(table: pd.DataFrame, name: str, metrics: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a metric by each kind of statistics, under one name."""
    parts = [
        _drawn_as(table[table["metric"] == metric], name, statistics=statistics)
        for statistics, metric in metrics.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _final(table: pd.DataFrame) -> pd.DataFrame:
    """Errors after training in batches of `NBS`, by the batch size that the statistics were taken
    in, above that of `LARGE_SIZE`; and by the number of samples, above that of the most."""
    accuracies = table[table["metric"] == "test/accuracy"]
    errors = accuracies.assign(value=1 - accuracies["value"])
    running = errors[errors["norm.ghost_size"].notna() & (errors["step"] == errors["steps"])]
    running = running.assign(**{NBS: running["norm.ghost_size"].astype(float)})
    precise = errors[errors["start_from"].notna()]
    trained = precise["start_from"].astype(str).str.extract(r"=(\d+)@", expand=False)
    precise = precise.assign(**{NBS: trained.astype(float)})
    of_samples = precise["data.limit"].notna()
    parts = []
    for x, factor, own in (
        (SIZE, "batch_size", precise[~of_samples]),
        (SAMPLES, "data.limit", precise[of_samples]),
    ):
        level = LARGE_SIZE if x == SIZE else own[factor].max()
        levels = own[own[factor] == level].set_index([NBS, "seed"])["value"]
        for place in sorted(own[factor].unique()):
            by_statistics = {POPULATION: own[own[factor] == place]}
            if x == SIZE:
                by_statistics[RUNNING] = running
            for statistics, rows in by_statistics.items():
                compared = rows.join(levels.rename("level"), on=[NBS, "seed"])
                above = compared.assign(value=compared["value"] - compared["level"])
                where = {"statistics": statistics, x: float(place)}
                parts.append(_drawn_as(above.dropna(subset=["value"]), ERROR, **where))
    return pd.concat(parts, ignore_index=True) if parts else running.assign(statistics=RUNNING)


def _drawn_as(rows: pd.DataFrame, name: str, **where: Any) -> pd.DataFrame:
    """Rows under a metric's name, told apart as by runs and cells of their own."""
    plain = rows.astype(dict.fromkeys(("run", "cell", "metric", "layer"), "object"))
    suffix = " ".join(map(str, where.values()))
    return plain.assign(
        metric=name, run=plain["run"] + suffix, cell=plain["cell"] + suffix, **where
    )


def _published(nbs: int) -> pd.DataFrame:
    """Table 2; the running averages' error, which knows no batch size, as a level."""
    published = pd.read_csv(PUBLISHED)
    published = published[published["nbs"] == nbs].rename(columns={"error": "y"})
    large = published.loc[published["batch_size"] == LARGE_SIZE, "y"].item()
    published = published.assign(y=published["y"] - large)
    known = published.dropna(subset=["batch_size"])
    levels = published[published["batch_size"].isna()].drop(columns="batch_size")
    levels = levels.merge(known[["batch_size"]], how="cross")
    return pd.concat([known, levels], ignore_index=True).rename(columns={"batch_size": "x"})
