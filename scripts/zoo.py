"""Print every choice and every setting: the same as `normlab zoo`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.zoo")
