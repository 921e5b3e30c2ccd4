"""Draw an experiment's figure from its runs, and judge its claims."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from normlab.analysis.claims import claims_hash
from normlab.analysis.ledger import VERDICTS_FILE, judge_experiment, write_verdicts
from normlab.analysis.registry import UNKNOWN, read_registry, same_values_as, since_first_look
from normlab.analysis.wording import label
from normlab.config.code import load_code
from normlab.figures.manifest import note_of, redraw, save, table_hash
from normlab.figures.sheet import Sheet
from normlab.plan.candidates import FACTOR
from normlab.plan.runs import PlannedRun
from normlab.plan.search import Search, how_chosen
from normlab.plan.table import concatenate, results_table, told_apart
from normlab.records import Damaged, RunFolder
from normlab.records.damage import tell
from normlab.records.files import read_json
from normlab.records.provenance import current_commit
from normlab.studies.computed import Calculation
from normlab.studies.design import design_digest, is_of_an_earlier_design, record_looks
from normlab.studies.experiment import Experiment
from normlab.words import plural

if TYPE_CHECKING:
    import pandas as pd

Result = TypeVar("Result")

PIXEL_TOLERANCE = 8
"""Of 255: how far a redrawn pixel may be off before it counts as different."""
SHARE_OF_PIXELS = 0.005
"""How many pixels may: fonts are hinted differently from one machine to the next."""


@dataclass(frozen=True)
class Drawn:
    folder: Path
    completeness: str
    claims: list[dict[str, Any]]


def draw_and_judge(
    experiment: Experiment,
    scale: str,
    runs: Sequence[PlannedRun],
    results: Path,
    computed: Sequence[Calculation] = (),
    searches: Sequence[Search] = (),
    num_waiting: int = 0,
) -> Drawn | None:
    """Write results/NAME/SCALE/ from the runs that have recorded something and from what is
    computed; None where there is nothing of either.

    The figure says what it lacks; runs that are not finished are drawn as far as they are.

    Args:
        searches: of the arms that are one.
        num_waiting: runs that are not planned yet, as a search of theirs has not chosen.
    """
    found = {task: task.table(runs) for task in computed}
    tables = [table for table in found.values() if table is not None]
    num_computed = len(tables)
    damages: list[Damaged] = []

    def leave_out(damage: Damaged) -> None:
        tell(damage)
        damages.append(damage)

    recorded = results_table(runs, experiment.metrics, leave_out) if runs else None
    if recorded is not None and not recorded.empty:
        tables = [recorded, *tables]
    if not tables:
        return None
    factors = {key for task in computed for key in task.factors}
    table = concatenate(tables, factors)
    folder = results / experiment.name / scale
    lacking = completeness(runs, num_computed, len(computed), damages, num_waiting)
    names = told_apart(runs)
    carried = {name: _provenance_of(run.folder) for name, run in zip(names, runs, strict=True)}
    commit = {"commit": current_commit()}
    carried |= {task.run_name: commit for task, rows in found.items() if rows is not None}
    save(
        drawing_of(experiment),
        folder,
        table,
        provenance=carried,
        missing=[lacking],
        searches=[search.to_json() for search in searches],
        chosen=how_chosen(searches),
    )
    import pandas as pd

    verdicts = judge_experiment(
        experiment.claims_path,
        pd.read_parquet(folder / "table.parquet"),  # as anyone can judge again, thinned or not
        experiment=experiment.name,
        scale=scale,
        hooks=_hooks(experiment),
        seeds=experiment.scale(scale).seeds,
        looks=experiment.scale(scale).looks,
        hashes={
            **{
                name: facts.get("claims", {}).get(experiment.name)
                for name, facts in carried.items()
            },
            **{task.run_name: claims_hash(experiment.claims_path) for task in computed},
        },
        design=design_digest(experiment.scale(scale)),
        registry=read_registry(folder),
    )
    for entry in verdicts["claims"]:
        told = how_chosen(_searches_of(entry["runs"], runs, searches))
        if told:
            entry["chosen"] = told
    record_looks(experiment, scale, folder, verdicts)
    write_verdicts(folder, verdicts)
    return Drawn(folder, lacking, verdicts["claims"])


def _searches_of(
    names: Sequence[str], runs: Sequence[PlannedRun], searches: Sequence[Search]
) -> list[Search]:
    """The searches that chose the settings of runs, or of what they start from. A run that is there
    as an arm of its own as well was not chosen.

    Args:
        names: of some of the runs, as the table has them.
    """
    compared = [run for run, told in zip(runs, told_apart(runs), strict=True) if told in names]
    unsearched = {
        run.name
        for run in compared
        if FACTOR not in run.factors and run.factors.get("start_from") is None
    }
    starts = {str(run.factors["arm"]): run.factors.get("start_from") for run in runs}
    arms = {str(run.factors["arm"]) for run in compared if run.name not in unsearched}
    above = {start.rpartition("@")[0] for arm in arms if (start := starts[arm])}
    while not above <= arms:
        arms |= above
        above = {start.rpartition("@")[0] for arm in arms if (start := starts.get(arm))}
    return [search for search in searches if search.arm in arms]


def judge_all(experiments: Sequence[Experiment], results: Path, console: Console) -> None:
    """Judge the claims of every stored table anew, as after a change of the rule or of a claim's
    family; tables and figures stay.

    Claims that were not judged there before wait for runs of theirs, or for the next drawing: the
    stored table may be of older ones. What only the runs know is taken over from before: with which
    claims they were begun, how their settings were chosen, and what was trained at the scale.
    """
    num_changed = 0
    for experiment in experiments:
        for manifest_path in sorted((results / experiment.name).glob("*/manifest.json")):
            num_changed += _judge_again(experiment, manifest_path.parent, console)
    console.print(f"{plural(num_changed, 'verdict')} changed.", highlight=False)


def _judge_again(experiment: Experiment, folder: Path, console: Console) -> int:
    """Returns how many verdicts changed."""
    import pandas as pd

    path = folder / VERDICTS_FILE
    before = read_json(path, "Delete it.") if path.exists() else {"claims": []}
    earlier = {claim["id"]: claim for claim in before["claims"]}
    registry = read_registry(folder)
    scale = experiment.scales.get(folder.name)
    verdicts = judge_experiment(
        experiment.claims_path,
        pd.read_parquet(folder / "table.parquet"),
        experiment=experiment.name,
        scale=folder.name,
        hooks=_hooks(experiment),
        seeds=None if scale is None else scale.seeds,
        looks=() if scale is None else scale.looks,
        design=before.get("design_sha256") or (registry[-1].design_sha256 if registry else UNKNOWN),
        registry=registry,
        of_older_runs=True,
    )
    verdicts["claims"] = [claim for claim in verdicts["claims"] if claim["id"] in earlier]
    num_changed = 0
    for claim in verdicts["claims"]:
        old = earlier[claim["id"]]
        for key in ("as_trained", "chosen"):
            if key in old:
                claim[key] = old[key]
        if (alike := same_values_as(registry, old, claim)) is not None:
            claim["same_values_as"] = alike
        if old["verdict"] != claim["verdict"]:
            num_changed += 1
            console.print(
                f"{experiment.name}/{folder.name} {claim['id']}: {old['verdict']} -> "
                f"{label(claim)}; {claim['reason']}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if scale is not None:
        record_looks(experiment, folder.name, folder, verdicts)
    for claim in verdicts["claims"]:
        claim |= since_first_look(read_registry(folder), claim)
    write_verdicts(folder, verdicts)
    return num_changed


def drawing_of(experiment: Experiment) -> Callable[[pd.DataFrame], Sheet]:
    """The function `draw` of an experiment's figure.py, from the tidy table to its sheet.

    The function raises a ValueError where it is handed anything else.
    """
    module = _module(experiment, "figure")

    def draw(table: pd.DataFrame) -> Sheet:
        sheet = module.draw(table)
        if not isinstance(sheet, Sheet):
            raise ValueError(
                f"{experiment.folder.parent.name}/{experiment.name}/figure.py: draw returned a "
                f"{type(sheet).__name__}, not a Sheet. Return draw_panels(table, rows), or "
                "Sheet(figure) of a figure drawn by hand; both are in normlab.figures."
            )
        return sheet

    return draw


def completeness(
    runs: Sequence[PlannedRun],
    num_computed: int = 0,
    num_to_compute: int = 0,
    damages: Sequence[Damaged] = (),
    num_waiting: int = 0,
) -> str:
    """How much of a plan there is: "37 of 45 runs, 2 failed, 6 missing; data: cifar10-jpeg".

    Args:
        damages: of files of runs, which are then not counted as finished.
        num_waiting: runs that wait for what a search chooses.
    """
    runs = list({run.name: run for run in runs}.values())
    parts = []
    if runs:
        damaged = {folder for damage in damages for folder in damage.path.parents}
        states = Counter(
            "damaged" if run.folder.path in damaged else run.folder.standing() for run in runs
        )
        others = [f"{states[state]} {state}" for state in states if state != "finished"]
        if num_waiting:
            others.append(f"{num_waiting} not begun before a search has chosen")
        num_runs = len(runs) + num_waiting
        parts.append(", ".join([f"{states['finished']} of {num_runs} runs", *others]))
    if num_to_compute:
        parts.append(f"{num_computed} of {num_to_compute} tables computed")
    if runs:
        parts.append(f"data: {', '.join(sorted({run.config.data.label for run in runs}))}")
    return "; ".join(parts)


def verify_all(experiments: Sequence[Experiment], results: Path, console: Console) -> int:
    """Redraw every stored figure from its stored table; 1 where one comes out differently, and
    where there is none.

    One whose experiment has another design since is not compared: its drawing is the new one's.
    """
    num_different = num_compared = 0
    for name, problems in _with_every_core(_verify, _stored(experiments, results, console)):
        num_compared += 1
        if problems:
            num_different += 1
            console.print(f"[red]differs[/red] {name}: {'; '.join(problems)}")
        else:
            console.print(f"[green]same[/green] {name}")
    console.print(f"{plural(num_compared, 'figure')} compared.", highlight=False)
    return 1 if num_different or not num_compared else 0


def redraw_all(experiments: Sequence[Experiment], results: Path, console: Console) -> None:
    """Draw every stored figure anew from its stored table; tables and verdicts stay.

    One whose experiment has another design since is left as it is.
    """
    for name, _ in _with_every_core(_redraw, _stored(experiments, results, console)):
        console.print(f"drawn {name}")


@dataclass(frozen=True)
class _Stored:
    """A figure in its folder, and the experiment that draws it."""

    experiment: Path
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.experiment.name}/{self.folder.name}"

    def draw(self, table: pd.DataFrame) -> Sheet:
        return drawing_of(Experiment.load(self.experiment))(table)


def _stored(experiments: Sequence[Experiment], results: Path, console: Console) -> list[_Stored]:
    """The stored figures that are of their experiments as these stand; others are told of."""
    found = []
    for experiment in experiments:
        for path in sorted((results / experiment.name).glob("*/manifest.json")):
            figure = _Stored(experiment.folder, path.parent)
            if is_of_an_earlier_design(experiment, path.parent):
                console.print(
                    f"[yellow]earlier[/yellow] {figure.name}: experiment.yaml has changed since; "
                    f"make {experiment.name} SCALE={path.parent.name}"
                )
            else:
                found.append(figure)
    return found


def _with_every_core(
    work: Callable[[_Stored], Result], figures: Sequence[_Stored]
) -> Iterator[tuple[str, Result]]:
    """The figures' names with what `work` makes of each, in their order; a process a core."""
    if len(figures) <= 1:
        yield from ((figure.name, work(figure)) for figure in figures)
        return
    spawn = multiprocessing.get_context("spawn")
    workers = min(len(figures), os.cpu_count() or 1)
    # Ctrl-C is this process's to answer
    pool = ProcessPoolExecutor(workers, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        for figure, made in zip(figures, pool.map(work, figures), strict=True):
            yield figure.name, made
    finally:
        pool.shutdown(cancel_futures=True)


def _redraw(figure: _Stored) -> None:
    redraw(figure.draw, figure.folder)


def _verify(figure: _Stored) -> list[str]:
    import pandas as pd

    folder = figure.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    table = pd.read_parquet(folder / "table.parquet")
    problems = []
    if table_hash(table) != manifest["table_sha256"]:
        problems.append("table.parquet is not the one the manifest names")
    sheet = figure.draw(table)
    share = _share_of_pixels_off(sheet, note_of(manifest), folder / "figure.png")
    if share > SHARE_OF_PIXELS:
        problems.append(f"{share:.2%} of the pixels are off, more than {SHARE_OF_PIXELS:.2%}")
    return problems


def _share_of_pixels_off(sheet: Sheet, note: str, path: Path) -> float:
    import numpy as np
    from PIL import Image

    redrawn = Image.open(io.BytesIO(sheet.picture("png", note=note)))
    drawn = np.asarray(redrawn.convert("RGB"), dtype=int)
    stored = np.asarray(Image.open(path).convert("RGB"), dtype=int)
    if drawn.shape != stored.shape:
        return 1.0
    return float((np.abs(drawn - stored).max(axis=2) > PIXEL_TOLERANCE).mean())


def _provenance_of(folder: RunFolder) -> Mapping[str, Any]:
    try:
        return folder.provenance()
    except FileNotFoundError:
        return {}
    except Damaged as damage:
        tell(damage)
        return {}


def _hooks(experiment: Experiment) -> dict[str, Any]:
    if not (experiment.folder / "claims.py").exists():
        return {}
    module = _module(experiment, "claims")
    return {name: value for name, value in vars(module).items() if callable(value)}


def _module(experiment: Experiment, name: str) -> Any:
    return load_code(experiment.folder, name)
