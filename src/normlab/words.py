"""Words as texts for people need them: the nearest of some, alternatives, a count with its noun,
no character that a terminal would obey; and which words may name a file.

It stands on the lowest floor, so that every room says these things alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from itertools import groupby

LONGEST_NAME = 200
"""In bytes, of the 255 that a file system takes: files are written beside under longer names."""

SIMILAR = 0.5
"""Least ratio of `SequenceMatcher` at which a word is taken for a misspelling of another."""


def refuse_no_file_name(what: str, name: str) -> None:
    """Refuse a name that, put behind a folder's, would not be one file or folder right in there.

    Every name that a user gives and that becomes a part of a path is checked here.

    Args:
        what: it names, as the beginning of a sentence: "--name".

    Raises:
        ValueError: it is empty or too long, begins with a dot as hidden files do and `..` does, or
            holds a slash or what no terminal shows.
    """
    is_plain = name.isprintable() and not set(name) & set("/\\") and name == name.strip()
    if not is_plain or not name or name.startswith(".") or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"{what} must be the name of a file: at most {LONGEST_NAME} letters, digits and signs, "
            f"no slash among them and no dot in front; got {name!r}. Give one such as my-name_2."
        )


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like `word`, the first of equals, where one is like it at all."""
    valid = list(valid)
    if word.lower() == "null" and "none" in valid:
        return "none"
    ratios = [SequenceMatcher(None, word.lower(), other.lower()).ratio() for other in valid]
    best = max(ratios, default=0.0)
    return valid[ratios.index(best)] if best >= SIMILAR else None


def nearest_few(
    word: str, valid: Iterable[str], *, at_most: int = 3, cutoff: float = 0.3
) -> list[str]:
    """The valid words most like `word`, the most similar first; none that is hardly like it.

    >>> nearest_few("norm.epsilon", ["norm.eps", "norm", "seed"])
    ['norm.eps', 'norm']
    """
    return get_close_matches(word, list(valid), n=at_most, cutoff=cutoff)


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """A question to put behind the sentence that refuses a word; nothing where no word is near.

    >>> did_you_mean("bacth", ["none", "batch"])
    " Did you mean 'batch'?"
    """
    match = nearest(word, valid)
    return f" Did you mean {match!r}?" if match else ""


def or_did_you_mean(word: str, valid: Iterable[str]) -> str:
    """The same question inside the sentence.

    >>> or_did_you_mean("bacth", ["none", "batch"])
    "; did you mean 'batch'?"
    """
    match = nearest(word, valid)
    return f"; did you mean {match!r}?" if match else ""


def abridged(text: str, *, most: int = 24) -> str:
    """A setting's list for a reader: repetitions counted, the middle of what is long left out.

    >>> abridged("64,64,128"), abridged("16,16,16,16,16,16,16,16,16,16,10")
    ('64,64,128', '16x10,10')
    >>> abridged("1,2,3,4,5,6,7,8,9,10,11,12,13"), abridged("he")
    ('1,2,3…12,13 (13)', 'he')
    """
    items = text.split(",")
    if len(text) <= most or len(items) < 4:
        return text
    runs = [(item, len(list(own))) for item, own in groupby(items)]
    counted = ",".join(item if count == 1 else f"{item}x{count}" for item, count in runs)
    if len(counted) <= most:
        return counted
    return f"{','.join(items[:3])}…{','.join(items[-2:])} ({len(items)})"


def alternatives(words: Iterable[str]) -> str:
    """
    >>> alternatives(["mean"]), alternatives(["mean", "last", "best"])
    ('mean', 'mean, last or best')
    """
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "run"), plural(2, "run")
    ('1 run', '2 runs')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def readable_bytes(num_bytes: int) -> str:
    """
    >>> readable_bytes(3_600_000_000_000), readable_bytes(512)
    ('3.6 TB', '512 B')
    """
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"


def counted(counts: Mapping[str, int]) -> str:
    """
    >>> counted({"trained": 5, "diverged": 1})
    '1 diverged, 5 trained'
    """
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


def printable(text: str) -> str:
    r"""A text as a terminal can be sent it: what would move, recolour or reorder it is spelled out.

    Control and format characters (ESC, BEL, carriage return, C1 codes, changes of direction) and
    the halves of surrogate pairs that stand for undecodable bytes are written as Python writes
    them; line breaks and tabs stay, and so does every letter.

    >>> printable("a\x1b[31mb"), printable("\u202eÄ"), printable("one\ntwo")
    ('a\\x1b[31mb', '\\u202eÄ', 'one\ntwo')
    """
    if text.isprintable():
        return text
    return "".join(
        repr(character)[1:-1] if _is_obeyed(character) else character for character in text
    )


def _is_obeyed(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in _OBEYED


_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
