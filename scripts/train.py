"""Train one run, or with -m a sweep of them: the same as `normlab train`."""

from normlab.cli.train import main

if __name__ == "__main__":
    main()
