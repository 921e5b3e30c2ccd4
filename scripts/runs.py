"""Look at recorded runs: list them, show one, plot any selection.

python scripts/runs.py ls norm=batch,none
python scripts/runs.py show vgg11-batch-he-digits-s0
python scripts/runs.py plot model=vgg11 --x step --y test/accuracy --hue norm --col optimizer.lr
"""

import argparse
import sys


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="A FILTER is KEY=VALUE[,VALUE], with keys as on train.py's command line.",
    )
    parser.add_argument("--results-dir", default="results", help="default: results")
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("ls", help="one line a run")
    listing.add_argument("filter", nargs="*", metavar="FILTER")
    for action, text in (
        ("show", "all that is known of a run"),
        ("why", "what launching a run again would do, and why"),
    ):
        actions.add_parser(action, help=text).add_argument("run", help="its name, or a part of it")
    plot = actions.add_parser("plot", help="one metric of a selection of runs")
    plot.add_argument("filter", nargs="*", metavar="FILTER")
    plot.add_argument("--x", default="step", help="step (default), or a setting's key")
    plot.add_argument("--y", default="test/accuracy", help="a metric (default: test/accuracy)")
    for name, default in (("hue", "norm"), ("style", None), ("col", None), ("row", None)):
        plot.add_argument(f"--{name}", default=default, help=f"a setting's key, default: {default}")
    plot.add_argument("--output", default="plot.png", help="a .png, .svg or .pdf file")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from normlab.browse import dispatch

    try:
        return dispatch(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
