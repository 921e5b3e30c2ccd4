"""What the commands share: words are parsed into options, carried out, and errors told."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from normlab.cli.output import go_on_unread
from normlab.cli.parser import Parser
from normlab.cli.start import STOPPED, say_stopped
from normlab.words import printable


class Help(argparse.RawDescriptionHelpFormatter):
    """Help with the line breaks of its texts, and room for the longest of our options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)


class Action(Protocol):
    """The options of one action, such as `runs show`: a frozen dataclass of what was typed."""

    def carry_out(self) -> int:
        """The exit code.

        Raises:
            ValueError: for what a user can mend.
        """
        ...


class Printing:
    """An action whose whole work is to print: unread, it ends."""


class Command(Protocol):
    """A module that is a command: `normlab NAME ...`."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what can be typed; each action's parser has its class as default `action`."""
        ...


def add_actions(
    parser: argparse.ArgumentParser,
) -> Callable[[str, type[Action]], argparse.ArgumentParser]:
    """Give a parser subcommands; the function adds one, whose help is its class's docstring."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def add(name: str, action: type[Action]) -> argparse.ArgumentParser:
        text = inspect.cleandoc(action.__doc__ or "")
        first = text.splitlines()[0].rstrip(".")
        sub = actions.add_parser(
            name, help=first[0].lower() + first[1:], description=text, formatter_class=Help
        )
        sub.set_defaults(action=action)
        return sub

    return add


def make_parser(
    add_arguments: Callable[[argparse.ArgumentParser], None],
    description: str | None,
    prog: str | None = None,
) -> argparse.ArgumentParser:
    parser = Parser(prog=prog, description=description, formatter_class=Help)
    add_arguments(parser)
    return parser


def options_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> Action:
    """The typed options that the words stand for; wrong words end the process, as argparse has it.

    What comes after `--` are words of train's command line (`words`), where the action's parser has
    `take_further_words`; elsewhere `--` only ends the options.
    """
    # argparse expects neither further words nor filters behind an option
    asked, left = parser.parse_known_args(words)
    own, further = list(words), {}
    if hasattr(asked, _FURTHER) and "--" in words:
        place = own.index("--")
        own, further = own[:place], {"words": own[place + 1 :]}
    late = [word for word in left if word in own and hasattr(asked, _FILTERS) and "=" in word]
    late = [word for word in late if not word.startswith("-")]
    for word in late:
        own.pop(len(own) - 1 - own[::-1].index(word))
    values: dict[str, Any] = {**vars(parser.parse_args(own)), **further}
    values.pop(_FURTHER, None)
    if values.pop(_FILTERS, False):
        values["filter"] = [*values["filter"], *late]
    action: Callable[..., Action] = values.pop("action")
    return action(**{key: _fixed(value) for key, value in values.items()})


_FURTHER, _FILTERS = "takes_further_words", "takes_filters"


def take_further_words(parser: argparse.ArgumentParser) -> None:
    """Let an action be given `words`, a field of its class, after `--`."""
    parser.set_defaults(**{_FURTHER: True})


def take_filters(parser: argparse.ArgumentParser) -> None:
    """Let an action be given KEY=VALUE words (`filter`), before options and behind them."""
    text = "KEY=VALUE[,VALUE], or sweep=ID; all must hold"
    parser.add_argument("filter", nargs="*", metavar="FILTER", help=text)
    parser.set_defaults(**{_FILTERS: True})


def tell_error(text: str) -> None:
    """The one line in which a command says what went wrong."""
    print(f"error: {printable(text)}", file=sys.stderr)


def told_by_system(error: OSError) -> str:
    """What the operating system said, and of which file; files that we write say so themselves."""
    said = error.strerror or str(error)
    return f"{error.filename}: {said}." if error.filename is not None else said


def carry_out(action: Action) -> int:
    """Carry out an action; what goes wrong is told in a line, and the exit code says so."""
    if not isinstance(action, Printing):
        go_on_unread()
    try:
        return action.carry_out()
    except ValueError as error:
        tell_error(str(error))
        code: int = getattr(error, "exit_code", 2)
        return code
    except OSError as error:
        tell_error(told_by_system(error))
    except KeyboardInterrupt:
        say_stopped()
        return STOPPED
    return 2


def run_script(command: Command) -> int:
    """A command as a script of its own: `python scripts/NAME.py ...`."""
    parser = make_parser(command.add_arguments, command.__doc__)
    return carry_out(options_of(parser, sys.argv[1:]))


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
