"""withdrawn.yaml of an experiment: claims that no longer stand, with the verdicts they had.

::

    withdrawn:
      - claim:
          id: settles_near_two_over_rate
          statement: ...
        reason: The largest value is the ratio at the smallest step, whose bound is 2 / lr.
        scales:
          small:
            verdict: supported
            estimate: 1.97
            interval: [1.91, 2.03]
            n: 5
            table_sha256: 3750b46151b27dba...

`claim` is the whole entry as claims.yaml had it. `scales` holds the verdict at each scale as it was
committed, in the words of its time. A withdrawn id is never used again, and what is withdrawn
counts in no total and in no correction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.analysis.scales import FIRST_LOOK, SCALES
from normlab.config.errors import ConfigError, hint
from normlab.config.yaml_files import Entry, read_yaml
from normlab.words import plural

WITHDRAWN_FILE = "withdrawn.yaml"
_KEYS = ("claim", "reason", "scales")
_VERDICT_KEYS = ("verdict", "refused", "estimate", "interval", "n", "effect", "table_sha256")
_EXAMPLE = """
withdrawn:
  - claim: {id: trains_faster, statement: "..."}
    reason: The rates were chosen by the value that is compared.
    scales:
      small: {verdict: supported, estimate: 0.1, interval: [0.05, 0.15], n: 5}
"""


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """A claim that no longer stands."""

    id: str
    statement: str
    source: str
    reason: str
    claim: Mapping[str, Any]
    """The whole entry, as claims.yaml had it."""
    scales: Mapping[str, Mapping[str, Any]]
    """By scale, the verdict as it was committed: verdict, estimate, interval, n, table_sha256."""

    def rows(self, experiment: str) -> list[dict[str, Any]]:
        """One entry a scale, as the ledger has them; nearest to the paper first."""
        common = {
            "experiment": experiment,
            "id": self.id,
            "statement": self.statement,
            "source": self.source,
            "reason": self.reason,
        }
        blank = {"estimate": None, "interval": None, "n": 0, "refused": False}
        return [
            {**common, "scale": scale, "effect": self.effect, **blank, **self.scales[scale]}
            for scale in reversed(SCALES)
            if scale in self.scales
        ]

    @property
    def effect(self) -> str:
        return str(self.claim.get("effect", "difference"))


def load_withdrawn(folder: Path) -> tuple[Withdrawn, ...]:
    """The claims withdrawn from an experiment; none where it has no withdrawn.yaml.

    Raises:
        ConfigError: naming the file, the line and what belongs there.
    """
    path = folder / WITHDRAWN_FILE
    if not path.exists():
        return ()
    file = read_yaml(path, _named(path))
    file.refuse_other_keys(("withdrawn",), _EXAMPLE)
    entries = file.get("withdrawn")
    if entries is None:
        raise file.error("needs the key withdrawn.", _EXAMPLE)
    entries.require(list, "a list of claims", _EXAMPLE)
    found = tuple(_withdrawn(entry) for entry in entries)
    for position, one in enumerate(found):
        if one.id in {other.id for other in found[:position]}:
            raise entries[position].error(f"is the id {one.id} once more. Keep one of them.")
    return found


def _withdrawn(entry: Entry) -> Withdrawn:
    entry.refuse_other_keys(_KEYS, _EXAMPLE)
    for key in _KEYS:
        if entry.get(key) is None:
            raise entry.error(f"needs the key {key}.", _EXAMPLE)
    claim = entry["claim"].require(dict, "the entry that claims.yaml had", _EXAMPLE)
    for key in ("id", "statement"):
        if not isinstance(claim.get(key), str):
            raise entry["claim"].error(f"needs the key {key}, a text.", _EXAMPLE)
    reason = entry["reason"].require(str, "a text", _EXAMPLE)
    if not reason.strip():
        raise entry["reason"].error("must say why the claim no longer stands.")
    entry["scales"].refuse_other_keys(SCALES, _EXAMPLE)
    scales = {scale: _verdict(one) for scale, one in entry["scales"].items()}
    return Withdrawn(
        id=claim["id"],
        statement=" ".join(claim["statement"].split()),
        source=str(claim.get("source", "")),
        reason=" ".join(reason.split()),
        claim=claim,
        scales=scales,
    )


def _verdict(entry: Entry) -> dict[str, Any]:
    entry.refuse_other_keys(_VERDICT_KEYS, _EXAMPLE)
    if entry.get("verdict") is None:
        raise entry.error("needs the key verdict.", _EXAMPLE)
    entry["verdict"].require(str, "a word", _EXAMPLE)
    interval = entry.get("interval")
    if interval is not None and len(interval.require(list, "[low, high]", _EXAMPLE)) != 2:
        raise interval.error("must be [low, high].")
    return dict(entry.value)


def withdrawn_rows(withdrawn: Mapping[str, Sequence[Withdrawn]]) -> list[dict[str, Any]]:
    """All that was withdrawn, one entry a claim and scale, by experiment and then by scale."""
    return [
        row
        for experiment in sorted(withdrawn)
        for one in withdrawn[experiment]
        for row in one.rows(experiment)
    ]


def standing(
    claims: Iterable[Mapping[str, Any]], withdrawn: Mapping[str, Sequence[Withdrawn]]
) -> list[dict[str, Any]]:
    """The judged claims that were not withdrawn since."""
    gone = {(name, one.id) for name, found in withdrawn.items() for one in found}
    return [dict(claim) for claim in claims if (claim["experiment"], claim["id"]) not in gone]


def refuse_withdrawn(claims_path: Path, ids: Iterable[str]) -> None:
    """Refuse claims under ids that were withdrawn from the same experiment.

    Raises:
        ConfigError: naming the id and the way out.
    """
    withdrawn = {one.id: one for one in load_withdrawn(claims_path.parent)}
    for name in ids:
        if name in withdrawn:
            raise ConfigError(
                f"{claims_path}: claim {name} was withdrawn ({withdrawn[name].reason}). An id"
                " stands for one claim for ever: give the new claim another."
            )


def withdraw(folder: Path, results: Path, ids: Sequence[str], reason: str) -> tuple[Withdrawn, ...]:
    """Move claims of an experiment from claims.yaml to withdrawn.yaml, with their verdicts.

    Comments and layout of all other claims stay as they are. Killed between its two files, it
    leaves a claim in both; done again, it takes it out of claims.yaml.

    Args:
        folder: the experiment's.
        results: the results folder, whose NAME/SCALE/verdicts.json hold the verdicts.
        reason: why they no longer stand.

    Raises:
        ConfigError: for an id that is not there, a claim without any verdict, no reason, the last
            claim of a file, or a layout in which a claim cannot be taken out by itself. Nothing
            is written then.
    """
    # here, since whoever only reads claims needs no numpy
    from normlab.records.files import write_whole

    claims_path = folder / "claims.yaml"
    if not reason.strip():
        raise ConfigError("a claim is withdrawn for a reason: give one, in a sentence.")
    before = load_withdrawn(folder)
    file = read_yaml(claims_path, _named(claims_path))
    entries = _entries(file)
    for name in ids:
        _require_known(name, entries, before, file.where)
    if len(set(ids)) == len(entries):
        raise ConfigError(
            f"{file.where} would be left without a claim. Write what is claimed instead first."
        )
    gone = {one.id: one.claim for one in before}
    new = [name for name in dict.fromkeys(ids) if name not in gone]
    for name in ids:
        if name in gone and gone[name] != entries[name].value:
            raise ConfigError(
                f"{file.where}: claim {name} is not the one that was withdrawn under this id. Give "
                "it another."
            )
    moved = [
        {
            "claim": entries[name].value,
            "reason": " ".join(reason.split()),
            "scales": _verdicts(name, folder.name, results, entries[name]),
        }
        for name in new
    ]
    remaining = _without(claims_path, file, set(ids))
    withdrawn_path = folder / WITHDRAWN_FILE
    if moved:
        write_whole(withdrawn_path, _extended(withdrawn_path, moved).encode())
    write_whole(claims_path, remaining.encode())
    return tuple(one for one in load_withdrawn(folder) if one.id in ids)


def _entries(file: Entry) -> dict[str, Entry]:
    """The claims of a claims.yaml by their ids."""
    claims = file.get("claims") if isinstance(file.value, dict) else None
    if claims is None or not isinstance(claims.value, list):
        raise file.error("has no list of claims.")
    return {
        str(entry.value["id"]): entry
        for entry in claims
        if isinstance(entry.value, dict) and "id" in entry.value
    }


def _require_known(
    name: str, entries: Mapping[str, Entry], withdrawn: Iterable[Withdrawn], where: str
) -> None:
    if name in entries:
        return
    if any(name == one.id for one in withdrawn):
        raise ConfigError(f"{where}: claim {name} is withdrawn already.")
    raise ConfigError(f"{where} has no claim {name}." + hint(name, entries, "Claims"))


def _verdicts(name: str, experiment: str, results: Path, entry: Entry) -> dict[str, Any]:
    """A claim's verdict at each scale but the first look's, which each machine has its own."""
    found = {}
    for scale in SCALES:
        path = results / experiment / scale / "verdicts.json"
        if scale == FIRST_LOOK or not path.exists():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            claims = {claim["id"]: claim for claim in content["claims"]}
            own = claims.get(name)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is damaged ({error!r}). Check out the committed one."
            ) from error
        if own is not None:
            manifest = path.with_name("manifest.json")
            digest = (
                json.loads(manifest.read_text(encoding="utf-8")).get("table_sha256")
                if manifest.exists()
                else None
            )
            found[scale] = {
                key: value
                for key, value in {**own, "table_sha256": digest}.items()
                if key in _VERDICT_KEYS and value not in (None, False)
            }
    if not found:
        raise ConfigError(
            f"{entry.place}: claim {name} has no verdict in {results / experiment}, so there is "
            "nothing to keep of it. Delete it from the file, or change it."
        )
    return found


def _without(path: Path, file: Entry, ids: set[str]) -> str:
    """The text of a claims.yaml without some claims; all comments outside of them stay.

    Raises:
        ConfigError: the rest would not be what it was.
    """
    lines = path.read_bytes().decode("utf-8-sig").splitlines(keepends=True)
    starts = [file.lines["claims", index] - 1 for index in range(len(file["claims"].value))]
    dropped: set[int] = set()
    shown = []
    for index, entry in enumerate(file["claims"]):
        if entry.value.get("id") not in ids:
            continue
        others = [*starts, *(file.lines[key,] - 1 for key in file.value)]
        end = min([line for line in others if line > starts[index]], default=len(lines))
        while end > starts[index] + 1 and _is_beside(lines[end - 1]):
            end -= 1
        shown.append(f"{starts[index] + 1} to {end}")
        dropped |= set(range(starts[index], end))
        while end < len(lines) and not lines[end].strip():
            dropped.add(end)
            end += 1
    text = "".join(line for number, line in enumerate(lines) if number not in dropped)
    text = text.rstrip("\n") + "\n"
    expected = [one for one in file.value["claims"] if one.get("id") not in ids]
    if _reads_as(text, {**file.value, "claims": expected}):
        return text
    raise ConfigError(
        f"{file.where}: {plural(len(ids), 'claim')} cannot be taken out without changing others "
        f"(lines {', '.join(shown)}): aliases, or braces around them. Write each claim as a block "
        "of its own, beginning with `- id:`."
    )


def _is_beside(line: str) -> bool:
    """Whether a line is blank or a comment, so that it may belong to what follows."""
    return not line.strip() or line.lstrip().startswith("#")


def _extended(path: Path, moved: Sequence[Mapping[str, Any]]) -> str:
    import yaml

    old = path.read_bytes().decode("utf-8-sig").rstrip("\n") if path.exists() else "withdrawn:"
    blocks = [
        yaml.safe_dump([one], sort_keys=False, allow_unicode=True, width=100, indent=2)
        for one in moved
    ]
    text = old
    for block in blocks:
        text += "\n" + "".join(f"  {line}" for line in block.splitlines(keepends=True))
    expected = read_yaml(path, _named(path)).value["withdrawn"] if path.exists() else []
    if not _reads_as(text, {"withdrawn": [*expected, *moved]}):
        raise ConfigError(
            f"{_named(path)}: nothing can be added to it as it is written. Write it as a list:"
            f"\n{_EXAMPLE}"
        )
    return text


def _reads_as(text: str, expected: Any) -> bool:
    import yaml

    try:
        return bool(yaml.safe_load(text) == expected)
    except yaml.YAMLError:
        return False


def _named(path: Path) -> str:
    """A file of an experiment, as texts name it."""
    return "/".join(path.parts[-3:])
