"""Print every choice of every group and every setting, as docs/zoo.md has them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from normlab.cli.command import Printing
from normlab.config.places import Places


@dataclass(frozen=True, kw_only=True)
class Zoo(Printing):
    """Every choice and every setting, read from the code."""

    output: str | None = None

    def carry_out(self) -> int:
        from normlab.cli.zoo_text import markdown
        from normlab.records.files import write_whole

        text = markdown(*Places(Path.cwd()).configs)
        if self.output is None:
            print(text, end="")
        else:
            write_whole(Path(self.output), text.encode())
        return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", help="a file to write; default: the terminal")
    parser.set_defaults(action=Zoo)
