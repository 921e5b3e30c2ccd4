"""Lay experiments and sweeps out in W&B: the same as `normlab dashboard`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.dashboard")
