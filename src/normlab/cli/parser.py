"""Wrong words, options and actions, told in one line with the way out."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import NoReturn

from normlab.words import did_you_mean, printable

_INVALID = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)
_UNKNOWN = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
_REQUIRED = re.compile(r"the following arguments are required: (.*)")
_NO_NUMBER = re.compile(r"argument ([^\s/]+)(?:/\S+)?: invalid (int|float) value: (.*)", re.DOTALL)
_OF_ARGUMENT = re.compile(r"argument ([^\s/]+)(?:/\S+)?: (.*)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """A parser that names the nearest word, and where all of them are told."""

    def error(self, message: str) -> NoReturn:
        said = printable(f"{self._explained(message)} `{self.prog} --help` tells all it takes.")
        self.exit(2, f"{self.prog}: error: {said}\n")

    def _explained(self, message: str) -> str:
        if match := _INVALID.fullmatch(message):
            name, word, listed = match.groups()
            choices = re.findall(r"'([^']*)'", listed)
            is_word = name.isupper()  # such as COMMAND, among options
            said = (
                f"{word}: there is no such {name.lower()}" if is_word else f"{name} has no {word}"
            )
            return f"{said}.{did_you_mean(word, choices)} There are {', '.join(choices)}."
        if match := _UNKNOWN.fullmatch(message):
            word = next(word for word in match[1].split() if word != "--")
            if not word.startswith("-"):
                return f"{word}: nothing is expected there."
            option = word.partition("=")[0]
            known = set(_options(self))
            if option in known:
                return f"{option} is an option of another command."
            near = did_you_mean(option, known) if option.startswith("--") else ""
            return f"{option}: there is no such option.{near}"
        if match := _REQUIRED.fullmatch(message):
            return f"required: {match[1]}."
        if match := _NO_NUMBER.fullmatch(message):
            kind = "a whole number" if match[2] == "int" else "a number"
            return f"{match[1]} must be {kind}; got {match[3]}."
        if match := _OF_ARGUMENT.fullmatch(message):
            return f"{match[1]}: {match[2]}."
        return f"{message[:1].lower()}{message[1:]}."


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every option of a parser and of what stands below it."""
    for action in parser._actions:  # argparse tells of them nowhere else
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)
