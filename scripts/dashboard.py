"""Lay experiments and sweeps out in W&B, as their figures are: a view and a report each.

python scripts/dashboard.py
python scripts/dashboard.py santurkar_ics --scale small --dry
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="experiments, or sweeps by ID; default: all"
    )
    parser.add_argument("--scale", help="default: the largest with results")
    parser.add_argument("--project", default="normlab")
    parser.add_argument("--entity", help="default: the account's own")
    parser.add_argument("--dry", action="store_true", help="print what would be written")
    parser.add_argument("--results-dir", default=str(ROOT / "results"))
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    from normlab.cli.dashboard import dispatch

    try:
        return dispatch(arguments, ROOT)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # experiments/ lies beside scripts/
    sys.exit(main())
