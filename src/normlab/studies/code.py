"""What an experiment's figure.py has to hold, seen without running it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from normlab.config.errors import ConfigError
from normlab.metrics import describe


def check_figure(folder: Path) -> None:
    """Read an experiment's figure.py without running it, which would import all of plotting.

    Raises:
        ConfigError: there is none, it is no Python, it has no function draw, or a panel shows a
            metric that nothing records and the file does not make.
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
    words = Counter(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    shown = list(_shown_in(tree))
    for line, metric in shown:
        if words[metric] > sum(metric == other for _, other in shown):
            continue  # it stands elsewhere in the file too, which may make it
        try:
            describe(metric)
        except ValueError as error:
            raise ConfigError(f"{where}:{line}: {error}") from None


def _shown_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The metrics that a file's panels show, with their lines, where they are written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Panel":
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if keyword.arg == "y" and isinstance(value, str):
                    yield node.lineno, value


def _names_in(tree: ast.Module) -> Iterator[str]:
    """What is defined, imported or assigned anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
