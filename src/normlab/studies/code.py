"""What an experiment's figure.py has to hold, seen without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from normlab.config.errors import ConfigError


def check_figure(folder: Path) -> None:
    """Read an experiment's figure.py without running it, which would import all of plotting.

    Raises:
        ConfigError: there is none, it is no Python, or it has no function draw.
    """
    path = folder / "figure.py"
    where = f"{folder.parent.name}/{folder.name}/{path.name}"
    expected = "it defines draw(table) -> Sheet."
    if not path.exists():
        raise ConfigError(f"{where}: no such file; {expected}")
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise ConfigError(f"{where}:{error.lineno}: {error.msg}") from None
    if not {"draw", "*"} & set(_names_in(tree)):
        raise ConfigError(f"{where}: no function draw; {expected}")


def _names_in(tree: ast.Module) -> Iterator[str]:
    """What is defined, imported or assigned anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
