"""Train one run, or with -m a sweep of them: the same as `normlab train`."""

from normlab.cli.start import start

if __name__ == "__main__":
    start("normlab.cli.train")
