"""`python -m normlab`: the `normlab` command where no such command is on the path."""

import sys

from normlab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
