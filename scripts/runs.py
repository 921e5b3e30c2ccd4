"""Look at recorded runs: the same as `normlab runs`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.runs")
