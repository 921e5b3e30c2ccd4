"""Print every choice and every setting: the same as `normlab zoo`."""

import sys

from normlab.cli import zoo
from normlab.cli.command import run_script

if __name__ == "__main__":
    sys.exit(run_script(zoo))
