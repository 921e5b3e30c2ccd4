"""A setting says everything once: its type, its default, what it means, which numbers it takes.

    momentum: float = setting(0.1, "Share of the newest batch.", above=0, at_most=1)

Help, `docs/zoo.md`, the command line and the checks all read it from there; nothing reads source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from normlab.config import check


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a number must keep to; every number must be finite as well."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        """
        >>> [str(Bounds(above=0)), str(Bounds(at_least=0, below=1)), str(Bounds(at_least=1))]
        ['greater than 0', 'at least 0 and less than 1', '1 or greater']
        """
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least} to {self.at_most}"
        if self.at_least is not None and self.below is None:
            return f"{self.at_least} or greater"
        words = {
            "greater than": self.above,
            "at least": self.at_least,
            "less than": self.below,
            "at most": self.at_most,
        }
        return " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)

    def hold(self, value: float) -> bool:
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def refuse(self, key: str, value: Any) -> None:
        """
        Raises:
            ValueError: for a number outside; of a list, for the first one. Words are let through.
        """
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            check.finite(key, number)
            if not self.hold(number):
                raise ValueError(f"{key} must be {self}; got {number}.")


@dataclass(frozen=True)
class Described:
    """What a dataclass says of one of its settings."""

    doc: str = ""
    bounds: Bounds | None = None
    key: str | None = None
    """How it is written on the command line where that is not the field's own name."""
    free_at_start: bool = False
    """Whether a run may have another value than the run it starts from."""


def setting(
    default: Any = MISSING,
    doc: str = "",
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    key: str | None = None,
    free_at_start: bool = False,
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A field of a component's dataclass.

    A subclass that gives it another default keeps what was said of it: `lr: float = 0.1`.

    Args:
        default: left out, the setting has to be given.
        doc: what it means, as a sentence; the choices of a Literal need no listing.
        above: the least value, itself excluded; `at_least` includes it, and so on.
        free_at_start: it says how a part trains or what it evaluates by, not what its parameters
            mean, so a run may have another value than the run it starts from (`start_from`).
    """
    limits = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    has_bounds = any(limit is not None for limit in limits.values())
    described = Described(doc, Bounds(**limits) if has_bounds else None, key, free_at_start)
    return dataclasses.field(default=default, metadata={**metadata, "setting": described})


def neutral(default: Any, doc: str = "", **said: Any) -> Any:
    """A setting that changes nothing at its default: there it is left out of the identity.

    A setting added to a component later is declared so; runs recorded before it existed keep
    their identity.
    """
    return setting(default, doc, **said, metadata={"neutral": default})


@cache
def described(cls: type) -> dict[str, Described]:
    """What is said of each field of a dataclass, by itself or by the base that declares it."""
    return {field.name: _described(cls, field.name) for field in dataclasses.fields(cls)}


def _described(cls: type, name: str) -> Described:
    fields = [vars(base).get("__dataclass_fields__", {}).get(name) for base in cls.__mro__]
    said = [f.metadata["setting"] for f in fields if f is not None and "setting" in f.metadata]
    return Described(
        doc=next((one.doc for one in said if one.doc), ""),
        bounds=next((one.bounds for one in said if one.bounds), None),
        key=next((one.key for one in said if one.key), None),
        free_at_start=any(one.free_at_start for one in said),
    )


class Settings:
    """Base of every dataclass of settings: one with a number out of bounds cannot be made.

    A `__post_init__` of a subclass calls this one first.
    """

    KEY: ClassVar[str] = ""
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @property
    def key(self) -> str:
        """What stands before the names of these settings, such as "norm" before `norm.eps`."""
        return self.KEY

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for name, said in described(cls).items():
            if said.bounds is not None:
                own = f"{self.key}.{name}" if self.key else name
                said.bounds.refuse(said.key or own, getattr(self, name))
