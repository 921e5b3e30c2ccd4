"""results/report/index.html and the page of a sweep.

A page is one file: styles, figures and data inside, nothing requested from anywhere. All that
comes from runs and files is escaped. The report has one script, ours, and lets the browser run no
other; a sweep's page has none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd

from normlab.analysis import ledger
from normlab.analysis.calibration import Calibration
from normlab.analysis.registry import edited_text
from normlab.analysis.scales import FIRST_LOOK
from normlab.analysis.values import runs_of
from normlab.analysis.wording import label, stated
from normlab.figures.averages import average_last_values
from normlab.figures.style import axis_text, level_texts, norm_looks, ordered
from normlab.figures.tables import labelled
from normlab.metrics import headlines, kind_of
from normlab.records.columns import SUMMARY, summarized
from normlab.records.files import write_whole
from normlab.report.curves import curves
from normlab.report.experiments import Study, experiments, shown_pictures
from normlab.words import counted, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RUNS = 500
_PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("normlab.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


_SCRIPT = "\n" + (Path(__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")


def write_report(
    results: Path,
    runs: pd.DataFrame | None = None,
    *,
    studies: Mapping[str, Study] | None = None,
) -> Path:
    """Write results/report/index.html from what lies in `results`; returns its path.

    Args:
        results: the results folder: NAME/SCALE/ with figures and verdicts, runs/, sweeps/.
        studies: what is known of experiments by name, beside their results.
        runs: one row a run (`records.runs_frame`); default: read from results/runs.

    Raises:
        ValueError: if a verdicts.json or a run's file is damaged; the file is named.
    """
    if runs is None:
        runs = _read_runs(results / "runs")
    withdrawn = {name: study.withdrawn for name, study in (studies or {}).items()}
    collected = ledger.collect(results, withdrawn)
    claims = [_claim(claim) for claim in collected["claims"]]
    evidence = ledger.evidence(claims)
    shown = experiments(results, claims, studies or {})
    listed, metrics = _listed_runs(runs)
    drawn = curves(_folders(results / "runs", [run["name"] for run in listed]))
    for run in listed:
        run["drawn"] = bool(drawn["runs"].get(run["name"]))
    page = _PAGES.get_template("report.html").render(
        summary=ledger.summary(claims),
        withdrawn=[{**row, "ours": ledger.ours(row)} for row in collected["withdrawn"]],
        withdrawn_summary=ledger.withdrawn_summary(collected["withdrawn"]),
        a_a=str(Calibration(**collected["a_a"])),
        claims=evidence,
        num_first_looks=len(claims) - len(evidence),
        experiments=[one for one in shown if one["scale"] != FIRST_LOOK],
        first_looks=[one for one in shown if one["scale"] == FIRST_LOOK],
        curves=_as_data(drawn),
        colors=_as_data(_norm_colors()),
        script=_SCRIPT,
        script_hash=_hash(_SCRIPT),
        sweeps=sorted(p.parent.name for p in results.glob("sweeps/*/index.html")),
        runs=listed,
        metrics=metrics,
        runs_summary=_runs_summary(runs),
        steps=_REPORT_STEPS,
    )
    path = results / "report" / "index.html"
    write_whole(path, page.encode())
    return path


def write_sweep_page(
    folder: Path,
    table: pd.DataFrame,
    *,
    factors: Sequence[str],
    command: str,
    runs: pd.DataFrame | None = None,
) -> Path:
    """Write index.html into a sweep's folder, with its comparison.png inside; returns its path.

    Args:
        folder: results/sweeps/ID.
        table: the tidy table of the sweep, with the factor columns; may be empty.
        factors: the swept factors, named as on the command line.
        command: what was typed.
        runs: one row a run (`records.runs_frame`), those without metrics too; default: the runs
            of `table`.
    """
    if runs is None:
        runs = runs_of(table) if len(table) else pd.DataFrame(columns=["run"])
    swept = [factor for factor in factors if factor != "seed"]
    listed, run_metrics = _listed_runs(runs)
    recorded = set(map(str, table["metric"].unique())) if len(table) else set()
    metrics = headlines(recorded)
    page = _PAGES.get_template("sweep.html").render(
        name=folder.name,
        command=command,
        pictures=[*shown_pictures([*folder.glob("comparison.png")]).values()],
        factors=swept,
        metrics=[axis_text(metric) for metric in metrics],
        cells=_final_values(table, swept, metrics) if len(table) else [],
        runs=listed,
        run_metrics=run_metrics,
        runs_summary=_runs_summary(runs),
        steps=_sweep_steps(folder, swept),
    )
    path = folder / "index.html"
    write_whole(path, page.encode())
    return path


def _norm_colors() -> dict[str, tuple[str, str]]:
    """Each norm's color on a light page and on a dark one."""
    return {norm: (look.color, look.on_dark or look.color) for norm, look in norm_looks().items()}


def _folders(runs_dir: Path, names: Iterable[str]) -> list[Path]:
    return [runs_dir / name for name in names if (runs_dir / name / "identity.json").exists()]


def _as_data(value: Any) -> str:
    """JSON that can stand inside a page: no text in it ends the element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(script: str) -> str:
    """What the page's policy knows its own script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read_runs(folder: Path) -> pd.DataFrame:
    from normlab.records.table import runs_frame

    return runs_frame(folder) if folder.is_dir() else pd.DataFrame(columns=["run"])


def _claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **claim,
        "reason": "; ".join([claim["reason"], *claim.get("chosen", ())]),
        "ours": ledger.ours(claim),
        "stated": stated(claim),
        "label": label(claim),
        "anchor": f"{claim['experiment']}-{claim['scale']}",
        "edited": edited_text(claim),
        "a_a_text": str(Calibration(**claim["a_a"])),
    }


def _listed_runs(runs: pd.DataFrame) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the runs table, newest first where that is known, and its metric columns."""
    metrics = headlines(summarized(runs.columns))
    if "started" in runs:
        runs = runs.sort_values("started", ascending=False, na_position="last", kind="stable")
    rows = [
        {
            "name": run["run"],
            "model": _text(run.get("model")),
            "norm": _text(run.get("norm")),
            "rate": _number(run.get("optimizer.lr"), 3),
            "state": _text(run.get("state")),
            "outcome": _text(run.get("outcome")),
            "seconds": _number(run.get("seconds"), 3),
            "finals": [_number(run[f"{SUMMARY}{name}"], 4) for name in metrics],
        }
        for run in runs.head(MOST_RUNS).to_dict("records")
    ]
    return rows, [axis_text(name) for name in metrics]


def _runs_summary(runs: pd.DataFrame) -> str:
    if not len(runs):
        return "There are no runs."
    text = plural(len(runs), "run")
    for column in ("state", "outcome"):
        if column in runs and runs[column].notna().any():
            text += f"; {counted(Counter(map(str, runs[column].dropna())))}"
    if len(runs) > MOST_RUNS:
        text += f". The newest {MOST_RUNS} are listed"
    return text + "."


def _final_values(
    table: pd.DataFrame, factors: Sequence[str], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    runs = labelled(runs_of(table), factors)
    levels = {factor: ordered(factor, list(runs[factor].unique())) for factor in factors}
    names = {factor: level_texts(levels[factor]) for factor in factors}
    means = {metric: average_last_values(table, metric, "cell", []).means for metric in metrics}
    rows = []
    for cell, own in runs.groupby("cell", sort=False, observed=True):
        first = own.iloc[0]
        rank = tuple(levels[factor].index(first[factor]) for factor in factors)
        outcomes = Counter(map(str, own["outcome"].dropna())) if "outcome" in own else Counter()
        finals = [
            _final(means[metric], str(cell), metric, int(outcomes["diverged"]))
            for metric in metrics
        ]
        rows.append(
            {
                "rank": rank,
                "levels": [names[factor][first[factor]] for factor in factors],
                "n": int(own["seed"].nunique()),
                "finals": finals,
                "outcomes": counted(outcomes),
            }
        )
    return sorted(rows, key=lambda row: (row["rank"], row["outcomes"]))


def _final(means: pd.DataFrame, cell: str, metric: str, num_diverged: int) -> str:
    if num_diverged and kind_of(metric) == "loss":
        return f"{num_diverged} diverged"
    found = means[means["x"] == cell]
    if not len(found):
        return ""
    point = found.iloc[0]
    half = float(point["high"] - point["mean"])
    text = _number(float(point["mean"]), 4)
    return text if math.isnan(half) else f"{text} ± {_number(half, 2)}"


def _number(value: Any, digits: int) -> str:
    """A number as a text; empty where it is missing."""
    if value is None or pd.isna(value):
        return ""
    return f"{float(value):.{digits}g}"


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _sweep_steps(folder: Path, factors: Sequence[str]) -> list[dict[str, str]]:
    """Commands on this sweep's runs, wherever its results lie."""
    results = folder.parent.parent
    runs = "normlab runs"
    if str(results) != "results":
        runs += f" --results-dir {shlex.quote(str(results))}"
    chosen = f"sweep={folder.name}"
    hue = "norm" if "norm" in factors else next(iter(factors), "norm")
    others = [factor for factor in factors if factor != hue]
    col = f" --col {others[0]}" if len(others) == 1 else ""
    return [
        {
            "text": "this figure again",
            "command": f"{runs} plot {chosen} --kind comparison --output comparison.png",
        },
        {
            "text": "any other view of these runs",
            "command": f"{runs} plot {chosen} --x step --y train/loss --hue {hue}{col}",
        },
        {"text": "these runs, and one of them", "command": f"{runs} ls {chosen}"},
        {"text": "why a run would be run again", "command": f"{runs} why RUN"},
        {"text": "all results on one page", "command": "normlab experiment report"},
    ]


_REPORT_STEPS = [
    {
        "text": "one run of your own",
        "command": "normlab train model=vgg11 norm=batch init=he seed=0",
    },
    {
        "text": "a sweep, which ends with a comparison page",
        "command": "normlab train -m norm=none,batch init=he,xavier seed=0,1,2",
    },
    {
        "text": "any plot of any runs",
        "command": "normlab runs plot --x step --y test/accuracy --hue norm",
    },
    {
        "text": "a published figure and its claims",
        "command": "normlab experiment run NAME --scale smoke",
    },
    {
        "text": "the configuration and summary of a run",
        "command": "normlab runs show RUN",
    },
]
