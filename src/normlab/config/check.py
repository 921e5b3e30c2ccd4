"""Checks of single values; a `ValueError` names the key, the bound and the value."""

import math


def finite(key: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number; got {value}.")


def positive(key: str, value: float) -> None:
    finite(key, value)
    if value <= 0:
        raise ValueError(f"{key} must be greater than 0; got {value}.")


def non_negative(key: str, value: float) -> None:
    finite(key, value)
    if value < 0:
        raise ValueError(f"{key} must be 0 or greater; got {value}.")


def at_least(key: str, value: float, minimum: float) -> None:
    finite(key, value)
    if value < minimum:
        raise ValueError(f"{key} must be {minimum} or greater; got {value}.")


def fraction(key: str, value: float) -> None:
    """A share of a whole that leaves something over: 0 <= value < 1."""
    finite(key, value)
    if not 0 <= value < 1:
        raise ValueError(f"{key} must be at least 0 and less than 1; got {value}.")
