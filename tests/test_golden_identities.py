"""Names of runs stay as they are: those behind every committed result, and those of a golden list.

`support/golden.py` says when a recorded identity may change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support import golden

PLACES = (golden.ROOT / "results", Path(__file__).parent / "golden" / "results")
"""Where manifests lie: the committed ones, and the demo's as it once was committed."""

CONFIGS = golden.ROOT / "configs"
RECORDED = golden.read(golden.IDENTITIES)
MANIFESTS = sorted(
    {
        (path.parent.parent.name, path.parent.name)
        for place in PLACES
        for path in place.glob("*/*/manifest.json")
    }
)

AWAITED = {
    ("ioffe_dropout", "small"),
    ("regularization", "small"),
    ("residual_depth", "small"),
    ("santurkar_lp_norms", "paper"),
    ("wu_he_batch_size", "small"),
    ("santurkar_ics", "small"),
}
"""Results of a design that was corrected since, whose new runs are still to come. An entry goes
when they are committed: the tests fail where one is no longer needed."""


AS_PLANNED = [
    pytest.param(*one, marks=[pytest.mark.xfail(strict=True)] if one in AWAITED else [])
    for one in MANIFESTS
]

NUM_NAMES = 3389
"""In the manifests that were committed when this test was written, but for the 20 of a linear
network whose claims were withdrawn (santurkar_ics, paper)."""

REFUSED = ("launcher=slurm",)
"""Choices that no run can be planned with."""


@cache
def manifest(experiment: str, scale: str) -> dict[str, Any]:
    paths = [place / experiment / scale / "manifest.json" for place in PLACES]
    return golden.read(next(path for path in reversed(paths) if path.exists()))


def test_no_committed_name_is_left_out() -> None:
    names = [name for which in MANIFESTS for name in manifest(*which)["runs"]]
    assert len(names) >= NUM_NAMES
    for which in MANIFESTS:
        assert len(set(manifest(*which)["runs"])) == len(manifest(*which)["runs"])


@pytest.mark.parametrize(("experiment", "scale"), AS_PLANNED)
def test_an_experiment_plans_the_runs_its_results_were_drawn_from(
    experiment: str, scale: str
) -> None:
    """Each name of a manifest is one of the experiment's own plan, or of the run that several
    experiments share, or that another had trained before, with more probes; and what the plan has
    beyond, the manifest says is missing. That cells are the plan's is tested below."""
    content = manifest(experiment, scale)
    plan = golden.planned(experiment, scale)
    names = set(content["runs"])
    unknown = names - plan.runs - plan.computed
    if unknown:
        shared = golden.shared_names(golden.experiments_at(scale), scale)
        unknown -= set(shared[experiment])
    for other in golden.experiments_at(scale) if unknown else ():
        unknown -= golden.planned(other, scale).runs
    assert not unknown, f"{len(unknown)} of {len(names)} names, such as {min(unknown)}"
    assert len(plan.runs) + len(plan.computed) - len(names) == _num_missing(content["missing"])


@pytest.mark.parametrize(("experiment", "scale"), AS_PLANNED)
def test_a_manifests_cells_are_the_plans(experiment: str, scale: str) -> None:
    content = manifest(experiment, scale)
    plan = golden.planned(experiment, scale)
    seeds = {cell["cell"]: frozenset(cell["seeds"]) for cell in content["cells"]}
    planned = {cell: plan.cells.get(cell) for cell in seeds}
    assert planned == seeds
    num_left_out = sum(len(own) for cell, own in plan.cells.items() if cell not in seeds)
    assert num_left_out == _num_missing(content["missing"])


def _num_missing(lines: list[str]) -> int:
    """`20 of 40 runs, 20 missing; data: gaussian`"""
    return sum(int(number) for line in lines for number in re.findall(r"(\d+) missing", line))


def test_the_data_behind_the_results_are_those_recorded() -> None:
    known = {facts["checksum"] for facts in RECORDED["data"].values()}
    known |= set(RECORDED["embedded"].values())
    found = {sum_ for which in MANIFESTS for sum_ in manifest(*which)["data_checksums"]}
    assert found <= known
    for name, checksum in RECORDED["embedded"].items():
        assert golden.checksum(f"data={name}") == checksum


def test_the_golden_list_keeps_its_identities() -> None:
    recorded: Mapping[str, golden.Hashes] = RECORDED["configurations"]
    assert len(recorded) >= 60
    found = {words: golden.identity(words) for words in recorded}
    moved = {words: hashes for words, hashes in found.items() if hashes != recorded[words]}
    assert not moved, json.dumps(moved, indent=1)


def test_staged_runs_keep_their_identities() -> None:
    assert golden.staged_identities() == RECORDED["staged"]


def test_shared_runs_keep_their_names() -> None:
    shared = RECORDED["shared"]
    assert golden.shared_names(shared["experiments"], shared["scale"]) == shared["names"]
    assert any(shared["names"].values())


def test_every_choice_of_every_group_is_in_the_golden_list() -> None:
    """A new file in configs/ asks for a line in tests/golden/identities.json."""
    words = {word for words in RECORDED["configurations"] for word in words.split()}
    for word in [word for word in words if word.startswith("probe=[")]:
        words |= {f"probe={name}" for name in word[len("probe=[") : -1].split(",")}
    offered = {f"{path.parent.name}={path.stem}" for path in CONFIGS.glob("*/*.yaml")}
    assert offered - words - set(REFUSED) == set()


def test_the_seeds_of_a_cell_differ_in_nothing_but_their_seed() -> None:
    """`golden.OncePerCell` composes a cell once; the experiments' own composer, every run."""
    folder = golden.ROOT / "experiments" / "wu_johnson_domain_shift"
    plain = golden.names_of(folder, "smoke", golden.every_run())
    once = golden.names_of(folder, "smoke", golden.composer())
    assert [run.name for run in plain.trained] == [run.name for run in once.trained]
    assert (plain.computed, plain.cells) == (once.computed, once.cells)
