"""Look at recorded runs: the same as `normlab runs`."""

import sys

from normlab.cli import runs
from normlab.cli.command import run_script

if __name__ == "__main__":
    sys.exit(run_script(runs))
