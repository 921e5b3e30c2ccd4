"""registry.jsonl beside verdicts.json: what was seen of each claim, and when it was seen first.

A line a look: the first time that a claim, as it stood then, was judged on these cells with these
seeds. Lines are added when claims are judged and never changed, so a claim that was edited after
its runs were looked at says so for ever, even when all of them were repeated since. A claim at
scale smoke is no evidence and leaves no line.

================= ==================================================================================
key               meaning
================= ==================================================================================
experiment, scale where
claim             its id
claim_sha256      of what decides its verdict alone: neither wording, nor source, nor family
design_sha256     of what experiment.yaml trains and computes at this scale, seeds left out
cells_sha256      of the cells that the claim compares
looks             numbers of seeds at which its verdict was planned to be given
seeds             the seeds seen of these cells
n                 how many of them both sides had
verdict           the word of that day
as_trained        whether the runs were begun with this very claims.yaml; null where not known
commit            the code's commit when it was judged
date              the day, UTC
table_sha256      of the table that it was judged on
same_values_as    where that table gave the same numbers by an earlier claim_sha256, which one: then
                  the code of its function was rewritten, and the claim is the same
================= ==================================================================================

Digests are the first 16 hexadecimal digits of a SHA-256. What is not known is "unknown".
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normlab.analysis.scales import FIRST_LOOK
from normlab.records.damage import Damaged

if TYPE_CHECKING:
    import pandas as pd

    from normlab.analysis.claims import Claim

REGISTRY_FILE = "registry.jsonl"
UNKNOWN = "unknown"
NUM_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Look:
    """One line; the module docstring says what each field means."""

    experiment: str
    scale: str
    claim: str
    claim_sha256: str
    design_sha256: str
    cells_sha256: str
    looks: tuple[int, ...]
    seeds: tuple[int, ...]
    n: int
    verdict: str
    as_trained: bool | None
    commit: str
    date: str
    table_sha256: str
    same_values_as: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What a look is the first of."""
        return (
            self.claim,
            self.claim_sha256,
            self.cells_sha256,
            self.seeds,
            self.same_values_as,
        )

    def to_line(self) -> str:
        content = asdict(self)
        if self.same_values_as is None:
            del content["same_values_as"]
        return json.dumps(content, ensure_ascii=False) + "\n"


def read_registry(folder: Path) -> tuple[Look, ...]:
    """The looks at an experiment's claims at one scale, in the order they were taken.

    Args:
        folder: results/NAME/SCALE; without a registry nothing was seen.

    Raises:
        Damaged: naming the file and the line.
    """
    path = folder / REGISTRY_FILE
    if not path.exists():
        return ()
    return _parsed(path, path.read_bytes())


def _parsed(path: Path, content: bytes) -> tuple[Look, ...]:
    found = []
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        try:
            values = json.loads(line)
            lists = {key: tuple(values[key]) for key in ("looks", "seeds")}
            found.append(Look(**{**values, **lists}))
        except (ValueError, TypeError, KeyError) as error:
            raise Damaged(
                path, f"no look: {error}", "Take the file from git.", place=f"line {number}"
            ) from error
    return tuple(found)


def record(folder: Path, looks: Iterable[Look]) -> tuple[Look, ...]:
    """Add the looks that are not there yet, all at once; returns those that were added.

    Nothing is written for a first look at toy data (scale smoke).

    Args:
        folder: results/NAME/SCALE.

    Raises:
        Damaged: as of `read_registry`; nothing is added then.
    """
    wanted = [look for look in looks if look.scale != FIRST_LOOK]
    if not wanted:
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REGISTRY_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        seen = {look.key for look in _parsed(path, path.read_bytes())}
        new = tuple({look.key: look for look in wanted if look.key not in seen}.values())
        if new:
            content = "".join(look.to_line() for look in new).encode()
            if os.write(descriptor, content) != len(content):
                raise OSError(f"{path} could not be written whole; free some space")
            os.fsync(descriptor)
        return new
    finally:
        os.close(descriptor)


def looks_of(
    verdicts: Mapping[str, Any], *, commit: str, date: str, table_sha256: str
) -> list[Look]:
    """The looks that were taken when an experiment's claims were judged.

    A claim without a pair of seeds to compare was not looked at.

    Args:
        verdicts: the content of its verdicts.json.
    """
    common = {key: str(verdicts[key]) for key in ("experiment", "scale", "design_sha256")}
    return [
        Look(
            **common,
            claim=entry["id"],
            claim_sha256=entry["claim_sha256"],
            cells_sha256=entry["cells_sha256"],
            looks=tuple(entry.get("looks") or [entry["n_planned"]]),
            seeds=tuple(entry["seeds"]),
            n=entry["n"],
            verdict=entry["verdict"],
            as_trained=entry["as_trained"],
            commit=commit,
            date=date,
            table_sha256=table_sha256[:NUM_DIGITS],
            same_values_as=entry.get("same_values_as"),
        )
        for entry in verdicts["claims"]
        if entry["n"]
    ]


def since_first_look(registry: Iterable[Look], entry: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a claim since it was looked at first.

    `edited_after_run`: whether something that decides its verdict was changed since its first look;
    None where that is not known, as where claims.yaml had changed between the runs and that look.
    `other_runs`: whether the claim now compares other cells than it did then. `fresh_seeds`:
    whether it compares the same cells with seeds none of which was among those of the first look.
    `first_look`: when that was, with the seeds and the verdict; None where this is the first.

    Args:
        entry: of verdicts.json, with id, claim_sha256, cells_sha256 and as_trained.
    """
    lines = [look for look in registry if look.claim == entry["id"]]
    if not lines:
        edited = False if entry.get("as_trained") else None
        return {
            "edited_after_run": edited,
            "other_runs": None,
            "fresh_seeds": None,
            "first_look": None,
        }
    first = lines[0]
    other_runs = _differs(first.cells_sha256, entry.get("cells_sha256"))
    seeds = set(entry.get("seeds", ()))
    alike = {look.claim_sha256: look.same_values_as for look in lines if look.same_values_as}
    now = entry.get("claim_sha256")
    while now in alike and now != first.claim_sha256:
        now = alike.pop(now)
    edited = _differs(first.claim_sha256, now)
    return {
        "edited_after_run": edited if edited or first.as_trained else None,
        "other_runs": other_runs,
        "fresh_seeds": bool(seeds) and other_runs is False and not seeds & set(first.seeds),
        "first_look": {
            "commit": first.commit,
            "date": first.date,
            "seeds": list(first.seeds),
            "verdict": first.verdict,
        },
    }


_VALUES = ("metric", "comparison", "effect", "threshold", "n", "treatment", "baseline")


def same_values_as(
    registry: Iterable[Look], before: Mapping[str, Any], entry: Mapping[str, Any]
) -> str | None:
    """The claim_sha256 under which the same table gave the same numbers; None where it did not.

    Args:
        before: the claim's entry in verdicts.json, of the table that is judged again.
        entry: the entry now.
    """
    lines = [
        look
        for look in registry
        if look.claim == entry["id"] and look.cells_sha256 == entry["cells_sha256"]
    ]
    if not lines or any(look.claim_sha256 == entry["claim_sha256"] for look in lines):
        return None
    earlier = before.get("claim_sha256") or lines[-1].claim_sha256
    if entry["n"] and all(_alike(before.get(key), entry.get(key)) for key in _VALUES):
        return str(earlier)
    return None


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def _differs(then: str, now: str | None) -> bool | None:
    return None if now is None or then == UNKNOWN else then != now


def edited_text(claim: Mapping[str, Any]) -> str:
    """What the ledger says of a claim since its first look: "no", "edited", "fresh seeds" …"""
    if claim["edited_after_run"] is None:
        return UNKNOWN
    words = ["edited"] * bool(claim["edited_after_run"])
    words += ["other runs"] * bool(claim.get("other_runs"))
    words += ["fresh seeds"] * bool(claim.get("fresh_seeds"))
    return ", ".join(words) or "no"


_NOT_DECIDING = ("id", "statement", "source", "published", "scales", "family")
"""Fields of a claim that its verdict does not depend on."""

_DEFAULTS: Mapping[str, Any] = {
    "summary": {"kind": "last", "value": None},
    "aggregate": {"kind": "mean", "value": None},
    "effect": "difference",
}


def claim_digest(claim: Claim, hooks_path: Path | None = None) -> str:
    """Of what decides a claim's verdict: fields at their default, and those that only tell of it,
    do not count.

    Args:
        hooks_path: the experiment's claims.py; of it the claim's own function counts, with
            what that calls in the file, comments and layout left out.
    """
    content = {
        key: _sorted_selection(value)
        for key, value in asdict(claim).items()
        if key not in _NOT_DECIDING and value not in (None, (), {}) and value != _DEFAULTS.get(key)
    }
    if claim.hook is not None and hooks_path is not None and hooks_path.exists():
        content["hook_code"] = code_of(hooks_path, claim.hook)
    return digest(content)


def digest(content: Any) -> str:
    """The first digits of the SHA-256 of plain values, whatever the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:NUM_DIGITS]


def _sorted_selection(value: Any) -> Any:
    """A selection with the values of each factor in one order."""
    if not isinstance(value, dict):
        return value
    return {
        key: sorted(wanted, key=str) if isinstance(wanted, tuple) else wanted
        for key, wanted in value.items()
    }


def code_of(path: Path, name: str) -> str:
    """The code of a function in a file and of all in the file that it uses.

    Comments, docstrings and layout are left out. Imports count by the names they bring; what they
    bring is not followed.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known: dict[str, ast.stmt] = {}
    for node in tree.body:
        for bound in _bound_by(node):
            known[bound] = node
    wanted, queue = set[str](), [name]
    while queue:
        one = queue.pop()
        if one in known and one not in wanted:
            wanted.add(one)
            queue += [n.id for n in ast.walk(known[one]) if isinstance(n, ast.Name)]
    nodes = [node for node in tree.body if wanted & set(_bound_by(node))]
    # the way a quotation mark is printed differs among versions of Python
    return "\n".join(ast.unparse(_without_docstrings(node)) for node in nodes).replace('"', "'")


def _bound_by(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a file gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return [
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ]
    return []


def _without_docstrings(node: ast.stmt) -> ast.stmt:
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            inner.body = inner.body[1:] or [ast.Pass()]
    return node


def cells_of(table: pd.DataFrame, runs: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The digest of the cells that these runs are of, and their seeds in order.

    Without runs, as of a claim whose function looks at what it likes, those of all the table.
    """
    if table.empty:
        return digest([]), ()
    own = table.loc[table["run"].isin(runs)] if runs else table
    own = own[["cell", "seed"]].drop_duplicates()
    cells = sorted({str(cell) for cell in own["cell"]})
    return digest(cells), tuple(sorted({int(seed) for seed in own["seed"]}))
