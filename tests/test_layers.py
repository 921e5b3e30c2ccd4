"""The floors of the house: a room imports from the floors below it, never from its own or above.

Imports that run are meant, those inside functions too; imports for type checkers alone are not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = (
    ("notebook", "__main__"),
    ("cli",),
    ("dashboards",),
    ("studies",),
    ("launch",),
    ("plan", "report"),
    ("training", "figures"),
    ("probes", "analysis"),
    ("init",),
    ("models", "objectives"),
    ("norms", "data", "theory"),
    ("measures", "tracking"),
    ("records",),
    ("metrics", "randomness"),
    ("config",),
    ("words",),
)
"""From the top; `normlab/__init__.py`, the lazy door, stands before the house."""

SOURCE = Path(__file__).resolve().parent.parent / "src" / "normlab"
FLOOR = {room: len(FLOORS) - index for index, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    """
    >>> room_of("normlab.plan.runs"), room_of("normlab")
    ('plan', '')
    """
    return (*module.split("."), "")[1]


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules of normlab that a file imports when it runs."""
    nodes = ast.iter_child_nodes(tree)
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        nodes = iter(tree.orelse)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "normlab":
            yield from (f"normlab.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "normlab writes its imports whole"
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        yield from imported(node)


def files_of(room: str) -> list[Path]:
    module = SOURCE / f"{room}.py"
    return [module] if module.exists() else sorted((SOURCE / room).rglob("*.py"))


def rooms_below(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [name for name in imported(tree) if name.partition(".")[0] == "normlab"]
    return {room_of(name) for name in modules} - {"", "__version__"}


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_imports_from_lower_floors_alone(room: str) -> None:
    files = files_of(room)
    assert files
    climbing = [
        f"{path.relative_to(SOURCE)} imports normlab.{other}"
        for path in files
        for other in sorted(rooms_below(path) - {room})
        if FLOOR[other] >= FLOOR[room]
    ]
    assert not climbing


def test_every_room_stands_on_a_floor() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert packages | modules == set(FLOOR)


def test_measures_stand_on_randomness_alone() -> None:
    """Anyone's network is measured with torch and NumPy; no configuration, no record is needed."""
    below = {room for path in files_of("measures") for room in rooms_below(path)}
    assert below - {"measures"} == {"randomness"}


def test_source_knows_no_experiment() -> None:
    """Not by an import, and not by its name in any text but the examples of docstrings."""
    names = {path.parent.name for path in SOURCE.parents[1].glob("experiments/*/experiment.yaml")}
    named = re.compile(rf"\b(experiments\.\w+|{'|'.join(names - {'demo'})})\b")
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in SOURCE.rglob("*.py")
        for line, text in texts_of(ast.parse(path.read_text(encoding="utf-8")))
        if named.search(text)
    ]
    assert len(names) > 20
    assert not found


def texts_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The text constants of a file with their lines, its docstrings left out."""
    loose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in loose:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from normlab import plan", ["normlab.plan"]),
        ("def f():\n    import normlab.cli.main", ["normlab.cli.main"]),
        (
            "if TYPE_CHECKING:\n    import normlab.cli\nelse:\n    import normlab.plan",
            ["normlab.plan"],
        ),
    ],
)
def test_the_reader_of_imports_sees_what_runs(code: str, found: list[str]) -> None:
    assert list(imported(ast.parse(code))) == found
