"""Measure what a normalization layer does to the training of a deep network, and why.

`normlab COMMAND --help` says what each command takes. TAB completes, after
`eval "$(register-python-argcomplete normlab)"`.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from normlab import __version__
from normlab.cli.command import Help, carry_out, make_parser, options_of
from normlab.cli.completion import complete_words

COMMANDS = {
    "train": "train one run, or with -m a sweep of them",
    "experiment": "reproduce a published figure: run, draw, judge",
    "runs": "look at recorded runs: list, show, plot, compare, measure, push",
    "data": "get a data set",
    "dashboard": "lay experiments and sweeps out in W&B",
    "zoo": "print every choice and every setting",
}

HARNESS = (
    *("argcomplete", "hydra", "jinja2", "matplotlib", "omegaconf", "pandas", "pyarrow", "pydantic"),
    *("rich", "scipy", "seaborn", "sklearn", "torchvision", "wandb", "wandb_workspaces", "yaml"),
)
"""What the extra `harness` brings, by the names under which it is imported."""


def main() -> int:
    words = sys.argv[1:]
    try:
        if words[:1] == ["train"]:  # Hydra reads its own command line
            from normlab.cli.train import main as train

            train(words[1:], prog="normlab train")
        parser = make_parser(_add_commands, __doc__, prog="normlab")
        _complete(parser)
        return carry_out(options_of(parser, words))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in HARNESS:
            raise
        print(
            f"error: {error.name} is not installed; the commands need it: "
            "pip install 'normlab[harness]'",
            file=sys.stderr,
        )
        return 2


def _add_commands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"normlab {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        module = import_module(f"normlab.cli.{name}")
        sub = commands.add_parser(
            name,
            help=text,
            description=module.__doc__,
            formatter_class=Help,
        )
        if name == "train":
            words = sub.add_argument("words", nargs="*", metavar="WORD")
            words.completer = complete_words  # type: ignore[attr-defined]  # argcomplete's protocol
        else:
            module.add_arguments(sub)


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, where it is the shell that asks."""
    import os

    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
