"""Look at recorded runs: list them, show one, plot any selection.

python scripts/runs.py ls norm=batch,none
python scripts/runs.py show vgg11-batch-he-digits-s0
python scripts/runs.py plot model=vgg11 --x step --y test/accuracy --hue norm --col optimizer.lr
"""

import argparse
import sys
from pathlib import Path

CONFIG_DIR = Path(__file__).resolve().parent.parent / "configs"


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
        ("rerun", "repeat a run under results/rerun and compare its metrics with the original's"),
        ("diff", "where two runs differ: configuration, code, metrics"),
    ):
        sub = actions.add_parser(action, help=text)
        sub.add_argument("run", help="its name, or a part of it")
        if action == "diff":
            sub.add_argument("other", help="the run to compare it with")
        if action == "why":
            sub.add_argument(
                "words", nargs="*", help="train.py's words, instead of the run's own configuration"
            )
    measure = actions.add_parser("measure", help="probes on a run's checkpoint, kept beside it")
    measure.add_argument("run", help="its name, or a part of it")
    measure.add_argument("words", nargs="+", help="such as 'probe=[landscape]'")
    measure.add_argument("--name", help="of the folder under measured/; default: the probes'")
    push = actions.add_parser("push", help="send runs to W&B; safe to repeat")
    push.add_argument("runs", nargs="*", metavar="RUN", help="names or FILTERs; default: all runs")
    push.add_argument("--project", help="default: the one each run was recorded for")
    push.add_argument("--entity", help="default: the account's own")
    push.add_argument("--offline", action="store_true", help="only write W&B's files here")
    push.add_argument(
        "--checkpoints", action="store_true", help="send final checkpoints too, as artifacts"
    )
    plot = actions.add_parser("plot", help="one metric of a selection of runs")
    plot.add_argument("filter", nargs="*", metavar="FILTER")
    plot.add_argument("--x", default="step", help="step (default), or a setting's key")
    plot.add_argument("--y", default="test/accuracy", help="a metric (default: test/accuracy)")
    for name, default in (("hue", "norm"), ("style", None), ("col", None), ("row", None)):
        plot.add_argument(f"--{name}", default=default, help=f"a setting's key, default: {default}")
    plot.add_argument("--output", default="plot.png", help="a .png, .svg or .pdf file")
    pull = actions.add_parser("pull", help="bring runs of a W&B project into run folders")
    pull.add_argument("--project", required=True)
    pull.add_argument("--entity", help="default: the account's own")
    pull.add_argument(
        "--filter", nargs="*", default=[], metavar="FILTER", help="only runs that pass"
    )
    actions.add_parser("leet", help="W&B's terminal UI on the local runs")
    return parser.parse_args(namespace=argparse.Namespace(config_dir=CONFIG_DIR))


def main() -> int:
    arguments = parse_arguments()
    from normlab.cli.runs import dispatch

    try:
        return dispatch(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
