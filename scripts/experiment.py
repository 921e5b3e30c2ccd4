"""Reproduce a published figure: run what is missing, draw it, judge its claims.

python scripts/experiment.py run santurkar_ics --scale small
python scripts/experiment.py plan saito_batch_norm --scale paper
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    for action, text in (
        ("run", "run what is missing, then draw and judge"),
        ("plan", "print what would be run: cells, seeds, states, estimated time"),
        ("draw", "draw and judge from the runs there are"),
    ):
        sub = actions.add_parser(action, help=text)
        sub.add_argument("names", nargs="+", metavar="NAME", help="experiments, or `all`")
        sub.add_argument("--scale", default="smoke")
        sub.add_argument("--cell", help="only cells whose arm contains this text")
        sub.add_argument("--seeds", help="instead of the scale's own, such as 0,1,2")
        sub.add_argument("--launcher", default="pool", help="serial or pool")
        sub.add_argument("--tracker", default="offline", help="offline, online or none")
    agents = actions.add_parser("wandb-sweep", help="write W&B sweeps of an experiment")
    agents.add_argument("names", nargs=1, metavar="NAME")
    agents.add_argument("--scale", default="smoke")
    agents.add_argument("--cell", help="only cells whose arm contains this text")
    agents.add_argument("--seeds", help="instead of the scale's own, such as 0,1,2")
    agents.add_argument("--project", default="normlab")
    agents.add_argument("--entity", help="default: the account's own")
    agents.add_argument("--output", help="a folder; default: results/wandb/sweeps")
    actions.add_parser("list", help="the experiments there are")
    claims = actions.add_parser("claims", help="rebuild results/ledger.md and ledger.json")
    claims.add_argument("--quiet", action="store_true", help="do not print the ledger")
    actions.add_parser("report", help="rebuild results/report/index.html")
    verify = actions.add_parser("verify", help="redraw committed figures from their tables")
    verify.add_argument("names", nargs="*", metavar="NAME")
    redraw = actions.add_parser("redraw", help="draw stored figures anew from their tables")
    redraw.add_argument("names", nargs="+", metavar="NAME", help="experiments, or `all`")
    own, words = split_at_dashes(sys.argv[1:])
    arguments = parser.parse_args(own)
    arguments.words = words
    return arguments


def split_at_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    """What comes before `--`, and what after it."""
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


def main() -> int:
    arguments = parse_arguments()
    from normlab.cli import experiment as command

    try:
        return command.dispatch(arguments, ROOT)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.strerror or error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
