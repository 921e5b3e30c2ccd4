"""Error texts that name the nearest valid word, the choices, and the file that defines them."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """A configuration a user can mend; its text is all they need to see."""


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like `word`, where one is like it at all."""
    matches = get_close_matches(word.lower(), list(valid), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(what: str, word: str, valid: Iterable[str], defined_in: str | None = None) -> str:
    """The text for a word that is not among the valid ones.

    >>> unknown("norm", "bacth", ["none", "batch"])
    "norm=bacth: there is no such norm. Did you mean 'batch'? Choices: none, batch."
    """
    return f"{what}={word}: there is no such {what}." + hint(word, valid, "Choices", defined_in)


def hint(word: str, valid: Iterable[str], heading: str, defined_in: str | None = None) -> str:
    valid = list(valid)
    match = nearest(word, valid)
    guess = f" Did you mean '{match}'?" if match else ""
    where = f" (defined in {defined_in})" if defined_in else ""
    return f"{guess} {heading}: {', '.join(valid)}{where}."
