"""Reproduce a published figure: the same as `normlab experiment`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.experiment")
