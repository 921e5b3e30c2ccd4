"""What Hydra reads: the YAML files of `configs/`, filled in from the dataclasses they stand for.

A file holds a component's name and what differs from its dataclass. Hydra wants every key there
that the command line may set, and `--cfg` shows every one; so each file is completed as it is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from normlab.config.component import Component
from normlab.config.errors import ConfigError
from normlab.config.registry import MODULES, choices
from normlab.config.run import RunConfig
from normlab.config.settings import described

CONFIG_NAME = "train"
NO_VALUE = "???"
"""How OmegaConf writes a value that has to be given."""


class CompletedConfigs(FileConfigSource):
    """A folder of YAML files."""

    @staticmethod
    def scheme() -> str:
        return "normlab"

    def load_config(self, config_path: str) -> ConfigResult:
        result = super().load_config(config_path)
        values = OmegaConf.to_container(result.config, resolve=False)
        assert isinstance(values, dict)
        path = Path(config_path.removesuffix(".yaml"))
        if path.parent.name == "probe":
            _check_package(path.name, values, result.header["package"])
        values = completed(path.parent.name, path.name, values, result.header["package"])
        return dataclasses.replace(result, config=OmegaConf.create(values))


def _check_package(name: str, values: Mapping[Any, Any], package: str | None) -> None:
    """Refuse a probe's file that would set no probe, without which nothing is measured."""
    sets_all = package == "_global_" and "probe" in values
    if not (package or "").startswith("probe.") and not sets_all and "defaults" not in values:
        raise ConfigError(
            f"configs/probe/{name}.yaml: the first line must be '# @package probe.{name}'."
        )


def hydra_over(folders: Sequence[Path]) -> Hydra:
    """Hydra, with the configs of these folders and none of its global state."""
    version.setbase("1.3")
    SourcesRegistry.instance().register(CompletedConfigs)
    main, *others = (f"{CompletedConfigs.scheme()}://{folder.absolute()}" for folder in folders)
    path = create_config_search_path(main)
    for other in others:
        path.append("own", other, anchor=SearchPathQuery("main", None))
    return Hydra(task_name=CONFIG_NAME, config_loader=ConfigLoaderImpl(path))


def completed(
    group: str, name: str, values: Mapping[Any, Any], package: str | None = None
) -> dict[Any, Any]:
    """What a YAML file of a group holds, and the defaults of what it leaves out.

    Args:
        name: the file's, without its ending.
        package: of its first line, where it has one.
    """
    if not group and name == CONFIG_NAME:
        return _merge(values, defaults_of(RunConfig))
    cls = class_of(group, values, package)
    if cls is None:
        return dict(values)
    head = {key: values[key] for key in ("name",) if key in values}
    return {**head, **defaults_of(cls), **values}


def class_of(
    group: str, values: Mapping[Any, Any], package: str | None = None
) -> type[Component] | None:
    """The component a YAML file is of, by its `name`, or a probe's by its package `probe.NAME`;
    None for one that is made of other files, and for a name that nothing has."""
    if group not in MODULES or "defaults" in values:
        return None
    name = (package or "").removeprefix("probe.") if group == "probe" else values.get("name")
    return choices(group).get(str(name))


def _merge(values: Mapping[Any, Any], defaults: Mapping[str, Any]) -> dict[Any, Any]:
    """The values, and below and behind them the defaults that they leave out."""
    merged = dict(values)
    for key, default in defaults.items():
        if isinstance(default, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], default)
        else:
            merged.setdefault(key, default)
    return merged


def defaults_of(cls: Any) -> dict[str, Any]:
    """The settings of a dataclass at their defaults, as plain values by the names they are written
    by; components, which a choice stands for, are left out."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in MODULES:
            continue
        key = described(cls)[field.name].key or field.name
        outer, _, inner = key.rpartition(".")
        place = plain.setdefault(outer, {}) if outer else plain
        place[inner] = _default(field)
    return plain


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return defaults_of(type(field.default_factory()))
    if field.default is dataclasses.MISSING:
        return NO_VALUE
    return list(field.default) if isinstance(field.default, tuple) else field.default
