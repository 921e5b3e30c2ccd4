"""Measure what normlab costs, as ratios; writes results/bench.json.

python scripts/bench.py
python scripts/bench.py --only training_step --only startup
"""

import argparse
import sys
from pathlib import Path

from normlab.cli.start import start

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path[0] = str(ROOT)  # not scripts/, where `bench` is this file
    from rich.console import Console

    from bench.runner import benchmarks, run
    from normlab.cli.output import go_on_unread

    folder = ROOT / "bench"
    parser = argparse.ArgumentParser(description="Measure what normlab costs, as ratios.")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=list(benchmarks(folder)),
        help="measure only this benchmark and keep the other figures (may be repeated)",
    )
    only = parser.parse_args().only
    go_on_unread()
    return run(folder, ROOT / "results" / "bench.json", Console(), only)


if __name__ == "__main__":
    start(__name__)
