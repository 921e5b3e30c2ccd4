"""Arguments of public measures, checked in one wording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args


def one_of(name: str, value: object, literal: Any) -> None:
    """
    Raises:
        ValueError: the value is none of a Literal's.
    """
    choices = get_args(literal)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}.")


def at_least(name: str, value: object, bound: int) -> None:
    """
    Raises:
        ValueError: the value is not a whole number of at least the bound.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < bound:
        raise ValueError(f"{name} must be a whole number of {bound} or greater; got {value!r}.")


def seed(value: object) -> None:
    """
    Raises:
        ValueError: the value does not seed a generator.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1; got {value!r}.")


def names(name: str, value: Sequence[str] | None) -> None:
    """
    Raises:
        ValueError: the value is neither None nor names, at least one.
    """
    if value is None:
        return
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} takes a list of names, or None for all; got {value!r}.")
    if not list(value):
        raise ValueError(f"{name} names nothing to measure; name some, or give None for all.")
