"""One run folder copied into one W&B run: the same code for a run in progress and one that is over.

What W&B gets: the run's name as id and name, its cell as group, the nested configuration, every
row once under its global `step`, histograms, and a summary with the best values, the state and
the outcome. A run is sent under the same id however often: on a server rows that are there stay
and the rest is appended; offline, where W&B never appends, the earlier copy is replaced.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normlab.config.registry import MODULES
from normlab.records.files import read_json, write_json_whole
from normlab.records.folder import RunFolder
from normlab.records.recorder import read_array
from normlab.records.rows import lines_of, read_rows
from normlab.tracking.copies import RECORD
from normlab.tracking.rows import OrderedRows, Row, best_values
from normlab.tracking.settings import MirrorSettings

if TYPE_CHECKING:
    import wandb


EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
"""As wandb's own: anything but 0 is shown as failed; 255 is what it sends after a Ctrl-C."""

SENT_FACTS = (
    "commit",
    "dirty",
    "versions",
    "device",
    "device_name",
    "num_threads",
    "data_checksum",
    "claims",
    "started",
)

INIT_TIMEOUT_SECONDS = 20.0
FINISH_TIMEOUT_SECONDS = 60.0
FLUSH_SECONDS = 0.2
UPLOAD_SECONDS = 15.0
"""How often wandb sends rows to a server; no setting of 0.31 changes it."""


def lean_settings(**others: Any) -> wandb.Settings:
    """Settings of wandb: without what normlab records itself, and with time limits."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        symlink=False,
        use_dot_wandb=False,
        init_timeout=INIT_TIMEOUT_SECONDS,
        finish_timeout=FINISH_TIMEOUT_SECONDS,
        finish_timeout_raises=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        x_graphql_retry_max=1,
        x_graphql_retry_wait_min_seconds=0.5,
        x_transaction_log_flush_interval=FLUSH_SECONDS,
        **others,
    )


class RunMirror:
    """An open W&B run, to which a run folder is copied.

    Raises, from the constructor on: whatever wandb does (it is not installed, there is no key,
    no server, …), ConnectionError and TimeoutError when it has stopped uploading, ValueError and
    OSError for a run folder that cannot be read.
    """

    def __init__(self, folder: Path, settings: MirrorSettings) -> None:
        self._folder = RunFolder(folder)
        self._settings = settings
        state = self._folder.status().get("state")
        if state is None:
            raise ValueError(f"{folder} holds no run that was started")
        self._record = _Record(folder / RECORD, settings)
        has_died = state == "running" and self._folder.state() == "interrupted"
        self._stays_open_on_server = has_died and settings.mode == "online"
        self._run = self._open()
        url = self._run.url if settings.mode == "online" else None
        self._record.write(directory=Path(self._run.dir).parent.name, url=url)
        self._rows = OrderedRows(folder, first_step=self._run.starting_step)
        self._defined: set[str] = set()

    def _open(self) -> wandb.Run:
        import wandb

        identity, config = self._folder.identity(), self._folder.config()
        _remove_copies(self._settings.wandb_dir, identity.run_name)
        components = [config[group]["name"] for group in ("model", "norm", "init", "data")]
        run = wandb.init(
            mode=self._settings.mode,
            project=self._settings.project,
            entity=self._settings.entity,
            dir=self._settings.results_dir,
            id=identity.run_name,
            name=identity.run_name,
            group=identity.cell_name,
            job_type="train",
            tags=list(dict.fromkeys([*components, *config["probe"]])),
            config={
                **config,
                **flat_factors(config, self._record.factors),
                "identity": {"cell": identity.cell, "run": identity.run},
                "provenance": self._facts(),
            },
            allow_val_change=True,
            resume="allow" if self._settings.mode == "online" else None,
            reinit="create_new",
            settings=lean_settings(
                x_update_finish_state=not self._stays_open_on_server,
                sweep_id=self._settings.sweep,
            ),
        )
        run.define_metric("step", hidden=True)
        return run

    def _facts(self) -> dict[str, Any]:
        """What of the provenance others need: who pulls the run checks its identity by it."""
        facts = self._folder.provenance()
        return {key: facts[key] for key in SENT_FACTS if key in facts}

    def advance(self) -> None:
        """Send the rows that have become whole."""
        for row in self._rows.whole():
            self._send(row)

    def finish(self) -> bool:
        """Send the rest, and end the W&B run the way the run ended.

        Returns:
            False where the run's process has died without a word: all is sent, but the W&B run
            is left open, to be shown as crashed once this process has gone without ending it.
        """
        rows = read_rows(self._folder.path)
        lines = lines_of(rows)
        for row in self._rows.rest(lines):
            self._send(row)
        status = self._folder.status()
        measured = {k: v for k, v in status.get("summary", {}).items() if v is not None}
        self._run.summary.update({**best_values(rows), **measured})
        if status["state"] != "running":
            ending = {key: status[key] for key in ("state", "outcome") if key in status}
            self._run.summary.update(ending)
        elif not self._stays_open_on_server:
            return False
        self.end(EXIT_CODES.get(status["state"], 1))
        self._record.write(complete=True, num_rows=len(lines))
        return True

    def send_checkpoint(self) -> None:
        """Send the checkpoint of a finished run; an equal one makes no further version in W&B."""
        path = self._folder.checkpoint_path
        if self._folder.status()["state"] == "finished" and path.exists():
            self._run.log_artifact(path, name=f"{self._folder.name}-checkpoint", type="model")

    def end(self, exit_code: int) -> None:
        """Wait until W&B has all, and end its run."""
        directory = Path(self._run.dir).parent
        self._run.finish(exit_code=exit_code)
        if (error := _fatal_error(directory)) is not None:
            raise ConnectionError(error)

    def _send(self, row: Row) -> None:
        import wandb

        logged: dict[str, Any] = {"step": row.step, **row.values}
        for name, path in row.histograms.items():
            edges, counts = read_array(self._folder.path, path)
            logged[name] = wandb.Histogram(np_histogram=(counts[:-1], edges))
        for name in sorted(logged.keys() - self._defined - {"step"}):
            self._run.define_metric(name, step_metric="step")
            self._defined.add(name)
        self._run.log(logged, step=row.step, commit=True)


def note_failure(folder: Path, settings: MirrorSettings, reason: str) -> None:
    """Write into mirror.json that W&B does not hold the whole run."""
    if folder.is_dir():
        _Record(folder / RECORD, settings).write(error=reason)


def mirror_run(folder: Path, settings: MirrorSettings, *, with_checkpoint: bool = False) -> None:
    """Copy a run that is over; safe to repeat. Errors as in `RunMirror`.

    A run whose process died shows as crashed on a server; its offline copy, as failed.

    Args:
        with_checkpoint: also send the final checkpoint, where the run kept one, as an artifact
            of the run's.
    """
    mirror = RunMirror(folder, settings)
    if with_checkpoint:
        mirror.send_checkpoint()
    if not mirror.finish():
        mirror.end(exit_code=1)


def flat_factors(config: Mapping[str, Any], factors: tuple[str, ...]) -> dict[str, Any]:
    """Copies of what W&B should group, filter and colour by, under keys without a period.

    Every component's name (`norm_name`, `optimizer_name`; `probe_names`), and the swept settings:
    `optimizer.lr` becomes `optimizer_lr`. Settings a component does not have are absent.
    """
    flat: dict[str, Any] = {
        flat_key(key): value["name"]
        for key, value in config.items()
        if isinstance(value, dict) and "name" in value
    }
    flat[flat_key("probe")] = ",".join(sorted(config["probe"]))
    for factor in factors:
        value: Any = config
        for word in factor.split("."):
            value = value.get(word) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, dict):
            flat[flat_key(factor)] = value
    return flat


def flat_key(setting: str) -> str:
    """What `flat_factors` calls a setting; a component is called by its name there.

    >>> flat_key("norm"), flat_key("norm.groups"), flat_key("dropout")
    ('norm_name', 'norm_groups', 'dropout')
    """
    if setting == "probe":
        return "probe_names"
    return f"{setting}_name" if setting in MODULES else setting.replace(".", "_")


def _remove_copies(wandb_dir: Path, run_name: str) -> None:
    """Remove W&B's directories of this run, whose place the new one takes.

    The id is an identity of ours and the folder is ours: no one else's runs match.
    """
    pattern = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(run_name)}(-dup(-\d+)?)?")
    for path in wandb_dir.glob(f"*run-*-{run_name}*"):
        if pattern.fullmatch(path.name) and (path / f"run-{run_name}.wandb").is_file():
            shutil.rmtree(path)


def _fatal_error(directory: Path) -> str | None:
    """Why wandb stopped uploading a run for good, which it tells no one but its own log."""
    log = directory / "logs" / "debug-internal.log"
    if not log.exists():
        return None
    found = re.search(r'"level":"ERROR\+\d+","msg":"(.*?)"', log.read_text())
    return None if found is None else found[1]


class _Record:
    """mirror.json: where a run's copy is, and whether it is whole."""

    def __init__(self, path: Path, settings: MirrorSettings) -> None:
        self._path = path
        try:
            earlier = read_json(path, "Delete the file; the run is not touched by that.")
        except FileNotFoundError:
            earlier = {}
        self.factors = tuple(dict.fromkeys([*earlier.get("factors", []), *settings.factors]))
        self._plain: dict[str, Any] = {
            **earlier,
            "mode": settings.mode,
            "project": settings.project,
            "entity": settings.entity,
            "factors": list(self.factors),
            "complete": False,
            "error": None,
        }
        self.write()

    def write(self, **changes: Any) -> None:
        self._plain.update(changes)
        write_json_whole(self._path, self._plain)
