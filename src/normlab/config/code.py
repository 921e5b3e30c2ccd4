"""Python files outside normlab's package: an experiment's, and components of one's own."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from normlab.config.errors import ConfigError

PREFIX = "normlab_code_"


def make_package(folder: Path) -> str:
    """Make a folder a package of its own, under a name made from its path; the name.

    Two folders of one name do not meet, and nothing is put on `sys.path`. A process that is sent
    an object of a class in there has to make the package before it reads the object.
    """
    path = folder.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    package = f"{PREFIX}{digest}_" + re.sub(r"\W", "_", path.name)
    if package not in sys.modules:
        module = ModuleType(package)
        module.__path__ = [str(path)]
        sys.modules[package] = module
    return package


def load_code(folder: Path, name: str) -> ModuleType:
    """The module `name` of a folder, wherever that lies.

    A file takes from its neighbours by `from .claims import ...`.

    Raises:
        ConfigError: naming the file, for whatever is raised in it.
    """
    module = f"{make_package(folder)}.{name}"
    if module not in sys.modules:
        importlib.invalidate_caches()  # the file may be a moment old
    try:
        return importlib.import_module(module)
    except Exception as error:
        file = folder.resolve() / f"{name}.py"
        text = f"{type(error).__name__}: {error}{_line(error, file)}{_way_out(error)}"
        raise ConfigError(f"{_shown(file)}: {text}") from error


def package_of(cls: type) -> str | None:
    """The package of the folder in which a class outside normlab's package stands; None: it stands
    elsewhere."""
    package = cls.__module__.partition(".")[0]
    return package if package.startswith(PREFIX) else None


def place_of(cls: type) -> str | Path:
    """Where a class stands, in an error's words: its module, or its file outside the package."""
    if package_of(cls) is None:
        return cls.__module__
    file = sys.modules[cls.__module__].__file__
    return cls.__module__ if file is None else _shown(Path(file))


def told(error: Exception) -> str:
    """An error that a component raised, in one line: its kind, its text, the innermost line of a
    file outside normlab's package that it came through."""
    text = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
    own = {
        module.__file__
        for name, module in sys.modules.items()
        if name.startswith(PREFIX) and hasattr(module, "__file__")
    }
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in own]
    return text + (
        f" ({_shown(Path(frames[-1].filename))}, line {frames[-1].lineno})" if frames else ""
    )


def _way_out(error: Exception) -> str:
    """What to write where Python's own text leaves that open."""
    if isinstance(error, TypeError) and "frozen dataclass" in str(error):
        return ". Write @dataclass(frozen=True, kw_only=True) above the class"
    return ""


def _shown(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _line(error: Exception, file: Path) -> str:
    """Of the file, where an error came out of it; a SyntaxError's own text says it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f" (line {lines[-1]})" if lines and not isinstance(error, SyntaxError) else ""
