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

from normlab.config.code import place_of
from normlab.config.component import Component
from normlab.config.errors import ConfigError, no_such_setting, unknown
from normlab.config.places import packed_root
from normlab.config.registry import MODULES, choices
from normlab.config.run import RunConfig
from normlab.config.settings import described
from normlab.config.yaml_files import Entry, read_yaml

CONFIG_NAME = "train"
NO_VALUE = "???"
"""How OmegaConf writes a value that has to be given."""


class CompletedConfigs(FileConfigSource):
    """A folder of YAML files."""

    @staticmethod
    def scheme() -> str:
        return "normlab"

    def load_config(self, config_path: str) -> ConfigResult:
        own = None if self._is_packed else self._read(config_path)
        if own is not None:
            own.require(dict, "settings under keys", _EXAMPLES.get(Path(config_path).parent.name))
        result = super().load_config(config_path)
        values = OmegaConf.to_container(result.config, resolve=False)
        assert isinstance(values, dict)
        path = Path(config_path.removesuffix(".yaml"))
        if path.parent.name == "probe":
            _check_package(path.name, values, result.header["package"])
        if own is not None:
            check_own(own, path.parent.name, result.header["package"])
        values = completed(path.parent.name, path.name, values, result.header["package"])
        return dataclasses.replace(result, config=OmegaConf.create(values))

    @property
    def _is_packed(self) -> bool:
        return Path(self.path).is_relative_to(packed_root())

    def _read(self, config_path: str) -> Entry | None:
        """A file by our own reader, which says more of what is wrong in it than Hydra's."""
        name = f"{config_path.removesuffix('.yaml')}.yaml"
        file = Path(self.path, name)
        return read_yaml(file, f"configs/{name}", may_be_empty=True) if file.exists() else None


def check_own(file: Entry, group: str, package: str | None) -> None:
    """Check a file of one's own: its keys, and the value of each by itself.

    Raises:
        ConfigError: naming the file, the line and the key.
    """
    from normlab.config.convert import check_setting, component  # pydantic, not needed before

    if group not in MODULES or (group != "probe" and package is not None):
        return
    if "defaults" in file.value or (group == "probe" and package == "_global_"):
        return
    if group == "probe":
        name = (package or "").removeprefix("probe.")
    else:
        named = file.get("name")
        if named is None:
            raise file.error(f"needs the key name, of a {group}.", _EXAMPLES.get(group))
        name = str(named.value)
    if name not in choices(group):
        place = file.place if group == "probe" else file["name"].place
        raise ConfigError(f"{place}: {unknown(group, name, choices(group))}")
    cls = choices(group)[name]
    key = f"probe.{name}" if group == "probe" else group
    valid = [field.name for field in dataclasses.fields(cls)]
    for setting, entry in file.items():
        if setting == "name" and group != "probe":
            continue
        if setting not in valid:
            text = no_such_setting(
                f"{key}.{setting}", [f"{key}.{one}" for one in valid], str(place_of(cls))
            )
            raise ConfigError(f"{entry.place}: {text}")
        value = entry.value
        if _is_open(value):
            continue
        try:
            check_setting(cls, key, setting, value)
        except ConfigError as error:
            raise ConfigError(f"{entry.place}: {error}{_dotless(value)}") from None
    values = {**defaults_of(cls), **file.value, "name": name}
    if not any(map(_is_open, values.values())):
        try:
            component(group, values)
        except ConfigError as error:
            raise ConfigError(f"{file.where}: {error}") from None


def _is_open(value: Any) -> bool:
    """Whether a value is left to the command line, or to another setting."""
    return isinstance(value, str) and (value == NO_VALUE or "${" in value)


def _dotless(value: Any) -> str:
    """A sentence on numbers that YAML takes for texts, such as 1e-2."""
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        return ""
    return "" if number is None else f" YAML takes that for text; write {number!r}."


_EXAMPLES = {"norm": "name: batch\nmomentum: 0.01", "optimizer": "name: sgd\nlr: 0.5"}


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
