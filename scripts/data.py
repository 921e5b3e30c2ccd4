"""Get a data set: the same as `normlab data`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.data")
