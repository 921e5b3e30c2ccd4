"""Cells that are computed without training: a function of the experiment's folder gives a table."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from normlab.config.code import load_code
from normlab.config.errors import ConfigError, hint
from normlab.metrics import describe
from normlab.plan.runs import PlannedRun
from normlab.plan.staging import parent_of
from normlab.plan.table import table_value
from normlab.records.columns import FIXED
from normlab.records.identity import NUM_NAME_DIGITS
from normlab.training.device import process_restored, set_exact_arithmetic
from normlab.training.start import kept_checkpoint
from normlab.training.trained import load_trained

if TYPE_CHECKING:
    import pandas as pd

OUTCOME = "computed"

RESERVED = (*FIXED, "trained")
"""Columns and arguments that are not the arm's to set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calculation:
    """One call of a function of `compute.py`.

    It takes the arm's settings and `seed` as keywords, and `trained` (the network, as
    `normlab.training.trained.load_trained` gives it) where the arm has `start_from`. It returns a
    table with the columns `metric` (a registered name) and `value`; `step` is 0 and `layer` missing
    by default; further columns are its own. It is carried out whenever the figure is drawn, so
    nothing of it is stored but the figure's table.
    """

    folder: Path
    """Of the experiment."""
    function: str
    factors: Mapping[str, Any]
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        return {k: v for k, v in self.factors.items() if k not in ("arm", "start_from")}

    @property
    def start_from(self) -> str | None:
        return self.factors.get("start_from")

    @property
    def cell(self) -> str:
        """Names the function and its settings, whatever their order."""
        what = [self.folder.name, self.function, self.settings, self.start_from]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        return f"{self.function}-{digest[:NUM_NAME_DIGITS]}"

    @property
    def run_name(self) -> str:
        return f"{self.cell}-s{self.seed}"

    def check(self) -> None:
        """
        Raises:
            ConfigError: there is no such function, or it does not take these settings, or one of
                them has the name of a column.
        """
        function = self._load()
        for key in self.settings:
            if key in RESERVED:
                raise ConfigError(
                    f"{self._where}: the arm {self.factors['arm']!r} sets {key}, which every table "
                    f"has as a column or every call is given. Give the argument of {self.function} "
                    "another name."
                )
        given = {**self.settings, "seed": self.seed, **({"trained": 0} if self.start_from else {})}
        try:
            inspect.signature(function).bind(**given)
        except TypeError as error:
            raise ConfigError(
                f"{self._where}: {self.function} takes {inspect.signature(function)}; the arm "
                f"{self.factors['arm']!r} does not fit: {error}."
            ) from None

    def table(self, runs: Sequence[PlannedRun]) -> pd.DataFrame | None:
        """The rows, with the columns of `plan.table.results_table`; None while the run that
        the calculation starts from has not finished, and where it diverged before.

        Args:
            runs: the experiment's plan.

        Raises:
            ValueError: what the function returned is no table, or an empty one; a column is
                missing, or a metric is not registered.
        """
        arguments = {**self.settings, "seed": self.seed}
        if self.start_from is not None:
            parent, step = parent_of(self.start_from, self.seed, runs)
            if parent.folder.standing() != "finished":
                return None
            diverged = parent.folder.status()["outcome"] == "diverged"
            if diverged and kept_checkpoint(parent.folder, step) is None:
                return None
            arguments["trained"] = load_trained(parent.folder, step)
        with process_restored():
            torch.set_num_threads(1)  # bits depend on it
            set_exact_arithmetic()
            try:
                found = self._load()(**arguments)
            except Exception as error:
                error.add_note(f"while computing {self.factors['arm']!r} with seed {self.seed}")
                raise
        return self._with_facts(found)

    def _with_facts(self, found: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        if not isinstance(found, pd.DataFrame) or found.empty:
            raise ValueError(
                f"{self._where}: {self.function} must return a table with rows; got {found!r}."
            )
        absent = {"metric", "value"} - set(found.columns)
        if absent:
            raise ValueError(
                f"{self._where}: the table of {self.function} must have the columns metric and "
                f"value; it lacks {', '.join(sorted(absent))}."
            )
        for metric in found["metric"].unique():
            describe(metric)
        facts = {
            "run": self.run_name,
            "cell": self.cell,
            "seed": self.seed,
            "state": "finished",
            "outcome": OUTCOME,
            **{key: table_value(value) for key, value in self.factors.items()},
        }
        defaults = {"step": 0, "layer": None}
        missing = {key: value for key, value in defaults.items() if key not in found}
        return found.assign(**missing, **facts)

    @property
    def _where(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}/compute.py"

    def _load(self) -> Callable[..., pd.DataFrame]:
        if not (self.folder / "compute.py").exists():
            raise ConfigError(f"{self._where} is needed for the arm {self.factors['arm']!r}.")
        module = load_code(self.folder, "compute")
        functions = {
            name: value
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__
        }
        if self.function not in functions:
            raise ConfigError(
                f"{self._where}: compute: {self.function}: there is no such function."
                + hint(self.function, functions, "Functions")
            )
        return functions[self.function]
