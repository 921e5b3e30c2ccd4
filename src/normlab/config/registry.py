"""Which components there are: each registers itself, and its module is found when it is asked for.

Nothing is imported before the first question about a group, so whoever composes a run needs no
import for its side effect, and a process pays only for the groups it asks about. Components of
one's own stand in files of a folder `components/` in the folder one stands in; elsewhere they are
unknown.
"""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from normlab.config.code import load_code, make_package, package_of, place_of
from normlab.config.errors import ConfigError
from normlab.words import refuse_no_file_name

if TYPE_CHECKING:
    from normlab.config.component import (
        Component,
        DataConfig,
        InitConfig,
        ModelConfig,
        NormConfig,
        OptimizerConfig,
        ProbeConfig,
    )

MODULES = {
    "model": "normlab.models",
    "norm": "normlab.norms",
    "init": "normlab.init",
    "data": "normlab.data",
    "optimizer": "normlab.training.optimizers",
    "schedule": "normlab.training.schedules",
    "probe": "normlab.probes",
    "tracker": "normlab.tracking.config",
    "launcher": "normlab.launch.config",
}
"""The module, or the package of modules, that the components of each group stand in."""

OWN = "components"
"""The folder of one's own components, which may be of any group."""

Registered = TypeVar("Registered", bound="type[Component]")

_CHOICES: dict[str, dict[str, type[Component]]] = {}
_OWN_CHOICES: dict[str, dict[str, dict[str, type[Component]]]] = {}
"""Those of each folder `components/`, by the name of its package and by group."""


def register(name: str) -> Callable[[Registered], Registered]:
    """Class decorator: makes a component selectable as `GROUP=name`.

    A class that is defined once more, as when a notebook's cell is run again, takes its own place.

    Raises:
        ValueError: `name` cannot be a part of a run folder's name.
    """
    refuse_no_file_name("a component's name", name)

    def decorate(cls: Registered) -> Registered:
        package = package_of(cls)
        groups = _CHOICES if package is None else _OWN_CHOICES.setdefault(package, {})
        group = groups.setdefault(cls.GROUP, {})
        other = group.get(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise _twice(name, other, cls)
        cls.NAME = name
        group[name] = cls
        return cls

    return decorate


@overload
def choices(group: Literal["model"]) -> dict[str, type[ModelConfig]]: ...
@overload
def choices(group: Literal["norm"]) -> dict[str, type[NormConfig]]: ...
@overload
def choices(group: Literal["init"]) -> dict[str, type[InitConfig]]: ...
@overload
def choices(group: Literal["data"]) -> dict[str, type[DataConfig]]: ...
@overload
def choices(group: Literal["optimizer"]) -> dict[str, type[OptimizerConfig]]: ...
@overload
def choices(group: Literal["probe"]) -> dict[str, type[ProbeConfig]]: ...
@overload
def choices(group: str) -> dict[str, type[Component]]: ...
def choices(group: str) -> Mapping[str, type[Component]]:
    """Every component of a group, by name, in order of modules and of definition in each; one's
    own last."""
    _import_all(MODULES[group])
    own = _import_own().get(group, {})
    known = _CHOICES[group]
    for name in own.keys() & known.keys():
        raise _twice(name, known[name], own[name])

    def place(item: tuple[str, type[Component]]) -> tuple[bool, str]:
        module = item[1].__module__
        return not module.startswith("normlab."), module

    return dict(sorted([*known.items(), *own.items()], key=place))


def owners(group: str, setting: str) -> list[str]:
    """The choices of a group that have a setting, such as `norm=group` for `groups`; those with
    the fewest settings first."""
    if group not in MODULES:
        return []
    settings = {
        f"{group}={name}": {field.name for field in dataclasses.fields(cls)}
        for name, cls in choices(group).items()
    }
    having = [choice for choice, names in settings.items() if setting in names]
    return sorted(having, key=lambda choice: len(settings[choice]))


@cache
def _import_all(place: str) -> None:
    """Import a module, and every module below it if it is a package."""
    module = import_module(place)
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        import_module(f"{place}.{inner.name}")


def _import_own() -> dict[str, dict[str, type[Component]]]:
    """Import every file of the `components/` in the folder one stands in that was not yet; what is
    registered there, by group."""
    folder = Path.cwd() / OWN
    if not folder.is_dir():
        return {}
    for module in pkgutil.iter_modules([str(folder)]):
        load_code(folder, module.name)
    return _OWN_CHOICES.get(make_package(folder), {})


def expect_own() -> None:
    """In a process that will be sent components: make those of one's own importable by name."""
    make_package(Path.cwd() / OWN)


def _twice(name: str, first: type[Component], second: type[Component]) -> ConfigError:
    return ConfigError(
        f"{first.GROUP}={name} is registered twice: as {_told(first)} and as {_told(second)}. "
        "Rename one."
    )


def _told(cls: type[Component]) -> str:
    if package_of(cls) is not None:
        return f"{cls.__qualname__} in {place_of(cls)}"
    return f"{cls.__module__}.{cls.__qualname__}"
