"""claims.yaml: what a paper says, written down as comparisons before the runs are looked at.

A claims file is a list of claims::

    claims:
      - id: batch_norm_learns_at_more_scales
        statement: "With batch norm the net learns at nearly every one of the 16 init scales"
        source: "Saito 2016, section 6.3.2, figure 6-19"
        metric: train/accuracy
        summary: last
        where: {optimizer.lr: 0.01}
        treatment: {norm: batch}
        baseline: {norm: none}
        aggregate: {fraction_above: 0.5}
        comparison: greater
        smallest_effect: 0.25

From runs to one number, in this order: *layers* are averaged at each step; `summary` turns a run's
steps into one value; `aggregate` turns the cells that a side selects into one value a seed (a seed
counts only where every one of these cells has it); the two sides are compared by seed.

============== ====================================================================================
key            meaning
============== ====================================================================================
id             lower-case words joined by underscores; unique in the file
statement      what is claimed, in words
source         where: paper, section, figure
family         `replication` (of what a paper or document says), `question` (of our own) or
               `identity` (holds by arithmetic, cannot fail); what is counted apart
metric         a name from the metric registry; with `hook` optional
outcome        in place of `metric`: the share of runs that are `failed`, `stuck` or `diverged`
               (failed: either of these), compared by an exact test
among          `trained`: only seeds whose runs all trained, on both sides
layer          a layer or a list of layers; default: every layer recorded
summary        `last` (default), `first`, `mean`, `min`, `max`, `{step: N}`, `{fraction_above: X}`,
               `{fraction_below: X}` (share of recorded steps), `{first_step_at_least: X}`,
               `{first_step_at_most: X}` (+inf where never reached)
where          factors that select cells of both sides, `{factor: value or list of values}`
treatment      factors that select the cells of this side
baseline       the same for the other side, or a number
aggregate      `mean` (default), `median`, `min`, `max`, `{fraction_above: X}`,
               `{fraction_below: X}`, `{count_above: X}`, `{count_below: X}` (over cells)
comparison     `greater` or `less` (treatment against baseline), or `equal`
effect         `difference` (default) or `ratio` (treatment / baseline, judged by its logarithm)
smallest_effect  for `greater` and `less`: the smallest effect that counts, >= 0; a ratio >= 1
margin         for `equal`: how far apart still counts as equal, > 0; a ratio > 1
published      `{treatment: X, baseline: Y, unit: U}` as the paper has them; each optional
scales         the scales at which the claim is judged; default: all
hook           a function of this name in the experiment's claims.py, table -> {seed: value};
               its values take the place of the treatment side, `baseline` must be a number
============== ====================================================================================
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from normlab.analysis.scales import SCALES
from normlab.analysis.withdrawn import refuse_withdrawn
from normlab.config.yaml_files import Entry, read_yaml
from normlab.metrics import describe
from normlab.metrics.declared import load_metrics
from normlab.words import alternatives, or_did_you_mean

FAMILIES = ("replication", "question", "identity")
OUTCOMES = ("failed", "stuck", "diverged")
AMONG = ("trained",)
COMPARISONS = ("greater", "less", "equal")
EFFECTS = ("difference", "ratio")
SUMMARIES = ("last", "first", "mean", "min", "max")
SUMMARIES_OF = (
    "step",
    "fraction_above",
    "fraction_below",
    "first_step_at_least",
    "first_step_at_most",
)
AGGREGATES = ("mean", "median", "min", "max")
AGGREGATES_OF = ("fraction_above", "fraction_below", "count_above", "count_below")

Factor = str | int | float | bool | None
Selection = Mapping[str, tuple[Factor, ...]]


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """Many values to one: `kind` with its number, e.g. `fraction_above` 0.5."""

    kind: str
    value: float | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind} {self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """The paper's own numbers; None where it gives none."""

    treatment: float | None = None
    baseline: float | None = None
    unit: str | None = None

    def __str__(self) -> str:
        values = " vs ".join(f"{v:g}" for v in (self.treatment, self.baseline) if v is not None)
        return f"{values} {self.unit}" if self.unit else values


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim; the module docstring says what each field means."""

    id: str
    statement: str
    source: str
    comparison: Literal["greater", "less", "equal"]
    metric: str | None
    layers: tuple[str, ...]
    summary: Reduction
    where: Selection
    treatment: Selection
    baseline: Selection | float
    aggregate: Reduction
    effect: Literal["difference", "ratio"]
    smallest_effect: float | None
    margin: float | None
    published: Published | None
    scales: tuple[str, ...]
    hook: str | None
    family: str
    outcome: str | None = None
    among: str | None = None

    @property
    def threshold(self) -> float:
        """The smallest effect that counts, or the margin of an `equal` claim."""
        value = self.margin if self.comparison == "equal" else self.smallest_effect
        assert value is not None
        return value


def load_claims(path: str | Path) -> tuple[Claim, ...]:
    """Read and validate a claims file.

    A metric may be one of the experiment's own, in the metrics.yaml beside the file.

    Raises:
        ValueError: naming the file, the claim and what to write instead.
    """
    file = _read(Path(path))
    content = file.value
    load_metrics(Path(path).parent)
    unknown = set(content) - {"claims"}
    if unknown:
        raise ValueError(f"{path}: unknown key {min(unknown)!r} at the top; the only key is claims")
    entries = content.get("claims")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: `claims` must be a list of at least one claim, got {entries!r}")
    claims = tuple(
        _parse(entry.place, position, entry.value) for position, entry in enumerate(file["claims"])
    )
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ValueError(f"{path}: two claims have the id {claim.id!r}; ids must be unique")
        seen.add(claim.id)
    refuse_withdrawn(Path(path), seen)
    return claims


def claims_hash(path: str | Path) -> str:
    """sha256 (hex) of a claims file's content: comments, key order and layout do not count.

    Nor does `family`, which says how a claim is counted and not what it claims.
    """
    content = _read(Path(path)).value
    if isinstance(entries := content.get("claims"), list):
        claimed = [
            {key: value for key, value in one.items() if key != "family"}
            if isinstance(one, dict)
            else one
            for one in entries
        ]
        content = {**content, "claims": claimed}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> Entry:
    try:
        file = read_yaml(path, str(path))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such claims file") from None
    if not isinstance(file.value, dict):
        raise ValueError(
            f"{path}: a claims file is a mapping with the key claims, got {file.value!r}"
        )
    return file


_KEYS = (
    "id",
    "statement",
    "source",
    "family",
    "metric",
    "outcome",
    "among",
    "layer",
    "summary",
    "where",
    "treatment",
    "baseline",
    "aggregate",
    "comparison",
    "effect",
    "smallest_effect",
    "margin",
    "published",
    "scales",
    "hook",
)


class _Reader:
    """Reads one claim; every error names the file and the claim."""

    def __init__(self, place: str, entry: Mapping[str, Any]) -> None:
        self.place = place
        self.entry = entry

    def fail(self, text: str) -> ValueError:
        return ValueError(f"{self.place}: {text}")

    def text(self, key: str) -> str:
        value = self.entry.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(f"`{key}` must be a text, got {value!r}")
        return value.strip()

    def optional_text(self, key: str) -> str | None:
        return None if self.entry.get(key) is None else self.text(key)

    def choice(self, key: str, choices: Iterable[str], default: str | None) -> str:
        value = self.entry.get(key, default)
        if value not in choices:
            raise self.fail(
                f"`{key}` must be {alternatives(choices)}, got {value!r}{_hint(value, choices)}"
            )
        return cast(str, value)

    def number(self, key: str, value: Any) -> float:
        # YAML 1.1 reads 1e-5 (no dot) as a text
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.fail(f"`{key}` must be a number, got {value!r}") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(f"`{key}` must be a number, got {value!r}")
        if not math.isfinite(value):
            raise self.fail(f"`{key}` must be finite, got {value!r}")
        return float(value)

    def reduction(
        self, key: str, default: str, plain: tuple[str, ...], valued: tuple[str, ...]
    ) -> Reduction:
        value = self.entry.get(key, default)
        if isinstance(value, str) and value in plain:
            return Reduction(kind=value)
        if isinstance(value, dict) and len(value) == 1:
            kind, number = next(iter(value.items()))
            if kind in valued:
                return Reduction(kind=kind, value=self.number(f"{key}.{kind}", number))
            value = kind
        if isinstance(value, str) and value in valued:
            raise self.fail(f"`{key}: {value}` needs a number: `{key}: {{{value}: X}}`")
        choices = [*plain, *(f"{{{kind}: X}}" for kind in valued)]
        raise self.fail(
            f"`{key}` must be {alternatives(choices)}, got {value!r}{_hint(value, plain + valued)}"
        )

    def selection(self, key: str, *, required: bool) -> Selection:
        value = self.entry.get(key)
        if value is None and not required:
            return {}
        if not isinstance(value, dict) or (required and not value):
            raise self.fail(
                f"`{key}` must select cells by factors, such as {{norm: batch}}, got {value!r}"
            )
        selection: dict[str, tuple[Factor, ...]] = {}
        for factor, wanted in value.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            if not values or any(isinstance(one, dict | list) for one in values):
                raise self.fail(
                    f"`{key}.{factor}` must be a value or a list of values, got {wanted!r}"
                )
            selection[str(factor)] = tuple(values)
        return selection


def _parse(where: str, position: int, entry: Any) -> Claim:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: claim {position + 1} must be a mapping, got {entry!r}")
    name = entry.get("id")
    place = f"{where}: claim {name if isinstance(name, str) else position + 1}"
    read = _Reader(place, entry)
    for key in entry:
        if key not in _KEYS:
            raise read.fail(f"unknown key {key!r}{_hint(key, _KEYS)}; keys are {', '.join(_KEYS)}")
    identifier = read.text("id")
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", identifier):
        raise read.fail(f"`id` must be lower-case words joined by underscores, got {identifier!r}")
    hook = read.optional_text("hook")
    outcome = _optional_choice(read, "outcome", OUTCOMES)
    if outcome is not None:
        _refuse_beside_outcome(read)
    metric = None if outcome is not None else _metric(read, hook)
    comparison = read.choice("comparison", COMPARISONS, None)
    effect = read.choice("effect", EFFECTS, "difference")
    smallest_effect, margin = _thresholds(read, comparison, effect)
    return Claim(
        id=identifier,
        statement=read.text("statement"),
        source=read.text("source"),
        comparison=cast(Literal["greater", "less", "equal"], comparison),
        metric=metric,
        layers=_texts(read, "layer"),
        summary=read.reduction("summary", "last", SUMMARIES, SUMMARIES_OF),
        where=read.selection("where", required=False),
        treatment=read.selection("treatment", required=hook is None),
        baseline=_baseline(read, hook),
        aggregate=read.reduction("aggregate", "mean", AGGREGATES, AGGREGATES_OF),
        effect=cast(Literal["difference", "ratio"], effect),
        smallest_effect=smallest_effect,
        margin=margin,
        published=_published(read),
        scales=_scales(read),
        hook=hook,
        family=_family(read),
        outcome=outcome,
        among=_optional_choice(read, "among", AMONG),
    )


def _optional_choice(read: _Reader, key: str, choices: Iterable[str]) -> str | None:
    return None if read.entry.get(key) is None else read.choice(key, choices, None)


def _family(read: _Reader) -> str:
    if read.entry.get("family") is None:
        raise read.fail(
            "`family` is missing; write replication (of what a paper or document says), question"
            " (of your own) or identity (holds by arithmetic, cannot fail)"
        )
    return read.choice("family", FAMILIES, None)


def _refuse_beside_outcome(read: _Reader) -> None:
    for key in ("metric", "layer", "summary", "hook", "among"):
        if read.entry.get(key) is not None:
            raise read.fail(
                f"`{key}` has no effect beside `outcome`, which counts runs; leave it out"
            )
    if read.entry.get("effect", "difference") != "difference":
        raise read.fail(
            "`effect` must be difference beside `outcome`: a ratio of shares is not defined where"
            " no run failed"
        )


def _metric(read: _Reader, hook: str | None) -> str | None:
    metric = read.optional_text("metric")
    if metric is None:
        if hook is None:
            raise read.fail(
                "`metric` is missing; name one of the metric registry, an `outcome` or a `hook`"
            )
        return None
    try:
        describe(metric)
    except ValueError as error:
        raise read.fail(str(error)) from None
    return metric


def _thresholds(read: _Reader, comparison: str, effect: str) -> tuple[float | None, float | None]:
    wanted, other = (
        ("margin", "smallest_effect") if comparison == "equal" else ("smallest_effect", "margin")
    )
    if other in read.entry:
        raise read.fail(f"`{other}` has no effect in an `{comparison}` claim; write `{wanted}`")
    if read.entry.get(wanted) is None:
        raise read.fail(f"`{wanted}` is missing; a claim with `comparison: {comparison}` needs it")
    value = read.number(wanted, read.entry[wanted])
    least = 1.0 if effect == "ratio" else 0.0
    if value < least or (comparison == "equal" and value == least):
        relation = "greater than" if comparison == "equal" else "at least"
        raise read.fail(f"`{wanted}` of a {effect} must be {relation} {least:g}, got {value:g}")
    return (None, value) if comparison == "equal" else (value, None)


def _baseline(read: _Reader, hook: str | None) -> Selection | float:
    value = read.entry.get("baseline")
    if value is None:
        raise read.fail("`baseline` is missing; write factors, such as {norm: none}, or a number")
    if isinstance(value, dict):
        if hook is not None:
            raise read.fail("`baseline` must be a number where there is a `hook`")
        return read.selection("baseline", required=True)
    return read.number("baseline", value)


def _published(read: _Reader) -> Published | None:
    value = read.entry.get("published")
    if value is None:
        return None
    keys = ("treatment", "baseline", "unit")
    if not isinstance(value, dict) or not set(value) <= set(keys):
        raise read.fail(
            f"`published` must be a mapping with the keys {', '.join(keys)}, got {value!r}"
        )
    numbers = {
        key: read.number(f"published.{key}", value[key])
        for key in keys[:2]
        if value.get(key) is not None
    }
    unit = value.get("unit")
    return Published(**numbers, unit=None if unit is None else str(unit))


def _scales(read: _Reader) -> tuple[str, ...]:
    scales = _texts(read, "scales") or SCALES
    for scale in scales:
        if scale not in SCALES:
            raise read.fail(
                f"`scales` must be among {', '.join(SCALES)}, got {scale!r}{_hint(scale, SCALES)}"
            )
    return scales


def _texts(read: _Reader, key: str) -> tuple[str, ...]:
    value = read.entry.get(key)
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) for one in values):
        raise read.fail(f"`{key}` must be a text or a list of texts, got {value!r}")
    return tuple(values)


def _hint(value: Any, choices: Iterable[str]) -> str:
    return or_did_you_mean(str(value), choices)
