"""Error texts that name the nearest valid word, the choices, and the file that defines them."""

from collections.abc import Iterable, Sequence

from normlab.words import did_you_mean, nearest


class ConfigError(ValueError):
    """A configuration a user can mend; its text is all they need to see."""


def unknown(what: str, word: str, valid: Iterable[str], defined_in: str | None = None) -> str:
    """The text for a word that is not among the valid ones.

    >>> unknown("norm", "bacth", ["none", "batch"])
    "norm=bacth: there is no such norm. Did you mean 'batch'? Choices: none, batch."
    """
    return f"{what}={word}: there is no such {what}." + hint(word, valid, "Choices", defined_in)


def no_such_setting(
    key: str, valid: Sequence[str], defined_in: str, owners: Sequence[str] = ()
) -> str:
    """The text for a dotted key that does not exist.

    Args:
        valid: the dotted keys that stand beside it.
        owners: choices of the key's group, such as `norm=group`, that do have the setting.
    """
    prefix, _, name = key.rpartition(".")
    if owners:
        guess = f" It belongs to {', '.join(owners)}."
    else:
        match = nearest(name, [other.rpartition(".")[2] for other in valid])
        guess = f" Did you mean '{prefix + '.' if prefix else ''}{match}'?" if match else ""
    settings = f" Settings: {', '.join(valid)}" if valid else " It has no settings"
    return f"{key}: there is no such setting.{guess}{settings} (defined in {defined_in})."


def hint(word: str, valid: Iterable[str], heading: str, defined_in: str | None = None) -> str:
    """What follows the sentence that refuses a word: the nearest valid one, and all of them."""
    valid = list(valid)
    where = f" (defined in {defined_in})" if defined_in else ""
    return f"{did_you_mean(word, valid)} {heading}: {', '.join(valid)}{where}."
