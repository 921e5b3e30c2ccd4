"""Lay experiments and sweeps out in W&B: the same as `normlab dashboard`."""

import sys

from normlab.cli import dashboard
from normlab.cli.command import run_script

if __name__ == "__main__":
    sys.exit(run_script(dashboard))
