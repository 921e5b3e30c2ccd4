"""An experiment's figure in W&B: one run that holds the picture, the claims and the tidy table.

W&B shows pictures and tables that a run has logged, so each results/NAME/SCALE is a run of job type
`figure`. Sent again unchanged it stays as it is; changed, the picture is one step further on, and
the table one version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from normlab.analysis import ledger
from normlab.analysis.wording import label, stated
from normlab.dashboards.layout import CLAIM_HEADINGS
from normlab.studies.project import Project
from normlab.tracking.conversation import answered_within
from normlab.tracking.failure import concerns_every_run, reason_of
from normlab.tracking.push import Pushed
from normlab.tracking.run_mirror import lean_settings
from normlab.tracking.settings import MirrorSettings

KEY = "figure"


def figure_run_name(experiment: str, scale: str) -> str:
    return f"figure-{experiment}-{scale}"


def figure_folders(results_dir: Path) -> list[Path]:
    """Every results/NAME/SCALE that has a figure."""
    return sorted(
        path.parent
        for path in results_dir.glob("*/*/manifest.json")
        if (path.parent / "figure.png").exists()
    )


def mirror_figure(folder: Path, settings: MirrorSettings) -> None:
    """Send one results/NAME/SCALE; errors as in `RunMirror`."""
    import wandb

    experiment, scale = folder.parts[-2:]
    name = figure_run_name(experiment, scale)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    if settings.mode == "offline":
        for earlier in settings.wandb_dir.glob(f"offline-run-*-{name}"):
            shutil.rmtree(earlier)
    run = wandb.init(
        mode=settings.mode,
        project=settings.project,
        entity=settings.entity,
        dir=settings.results_dir,
        id=name,
        name=name,
        group="figures",
        job_type="figure",
        config={"experiment": experiment, "scale": scale, "runs": manifest["runs"]},
        allow_val_change=True,
        resume="allow" if settings.mode == "online" else None,
        reinit="create_new",
        settings=lean_settings(),
    )
    if dict(run.summary).get("manifest_sha256") != digest:
        rows = claim_rows(folder)
        logged: dict[str, Any] = {KEY: wandb.Image(str(folder / "figure.png"), caption=experiment)}
        if rows:
            logged["claims"] = wandb.Table(columns=list(CLAIM_HEADINGS), data=[*rows])
        run.log(logged, step=run.starting_step)
        metadata = {key: manifest[key] for key in ("runs", "commits", "table_sha256", "missing")}
        table = wandb.Artifact(f"table-{experiment}-{scale}", type="table", metadata=metadata)
        for file in ("table.parquet", "manifest.json", ledger.VERDICTS_FILE):
            if (folder / file).exists():
                table.add_file(str(folder / file))
        run.log_artifact(table)
        run.summary["manifest_sha256"] = digest
    run.finish()


def push_figures(
    results_dir: Path,
    *,
    mode: Literal["online", "offline"] = "online",
    project: str | None = None,
    entity: str | None = None,
) -> Iterator[Pushed]:
    """Send every experiment's figure, claims and tidy table; stops as `push_runs` does."""
    settings = MirrorSettings(
        mode=mode,
        project=project or "normlab",
        entity=entity,
        results_dir=results_dir.resolve(),
    )
    for folder in figure_folders(results_dir):
        name = figure_run_name(*folder.parts[-2:])
        try:
            with answered_within():
                mirror_figure(folder, settings)
        except Exception as error:
            yield Pushed(name, reason_of(error), is_everyones=concerns_every_run(error))
            if concerns_every_run(error):
                return
        else:
            yield Pushed(name)


def claim_rows(folder: Path) -> list[list[str]]:
    """Rows of the claims table of a results/NAME/SCALE, under `CLAIM_HEADINGS`."""
    if not (folder / ledger.VERDICTS_FILE).exists():
        return []
    experiment, scale = folder.parts[-2:]
    withdrawn = Project(folder.parents[2]).withdrawn()
    claims = ledger.collect(folder.parents[1], withdrawn)["claims"]
    return [
        [
            stated(claim),
            str(claim["published"] or ""),
            ledger.ours(claim),
            label(claim),
            str(claim["holm_verdict"]),
        ]
        for claim in claims
        if (claim["experiment"], claim["scale"]) == (experiment, scale)
    ]
