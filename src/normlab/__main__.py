"""`python -m normlab`: the `normlab` command where no such command is on the path."""

from normlab.cli.start import main

if __name__ == "__main__":
    main()
