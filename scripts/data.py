"""Get a data set: the same as `normlab data`."""

import sys

from normlab.cli import data
from normlab.cli.command import run_script

if __name__ == "__main__":
    sys.exit(run_script(data))
