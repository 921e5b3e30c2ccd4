"""Reproduce a published figure: the same as `normlab experiment`."""

import sys

from normlab.cli import experiment
from normlab.cli.command import run_script

if __name__ == "__main__":
    sys.exit(run_script(experiment))
