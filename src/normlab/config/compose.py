"""Hydra's part: command-line words and `configs/` become nested plain values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from normlab.config.errors import ConfigError, hint, unknown

CONFIG_NAME = "train"


class Composer:
    """Composes many runs from one `configs/` folder.

    Selecting a group's file (`norm=batch`) takes Hydra some 50 ms; setting a value
    (`optimizer.lr=0.5`) takes none, so each distinct selection is composed once and values are
    set on a copy.
    """

    def __init__(self, config_dir: Path) -> None:
        self._config_dir = config_dir
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self.groups = {
            folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
            for folder in sorted(config_dir.iterdir())
            if folder.is_dir()
        }

    def compose(self, words: Sequence[str]) -> dict[str, Any]:
        """The nested plain values that `words`, as on the command line, stand for.

        Raises:
            ConfigError: for a word that is not Hydra's grammar, a choice or key that does not
                exist, with the nearest that does.
        """
        overrides = parse(words)
        for override in overrides:
            self._refuse_unknown_choice(override)
        selections = [o for o in overrides if o.key_or_group in self.groups or not _is_value(o)]
        values = [o for o in overrides if o not in selections]
        key = tuple(str(override.input_line) for override in selections)
        if key not in self._composed:
            self._composed[key] = self._load(list(key))
        config = copy.deepcopy(self._composed[key])
        for override in values:
            self._set(config, override)
        try:
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise ConfigError(str(error).splitlines()[0]) from None
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    def _refuse_unknown_choice(self, override: Override) -> None:
        group = override.key_or_group
        if group not in self.groups:
            return
        value = override.value()
        for choice in value if isinstance(value, list) else [value]:
            if choice is None or str(choice) not in self.groups[group]:
                word = "null" if choice is None else str(choice)
                where = f"configs/{group}/"
                raise ConfigError(unknown(group, word, self.groups[group], where))

    def _load(self, words: list[str]) -> DictConfig:
        from hydra import initialize_config_dir

        try:
            if GlobalHydra.instance().is_initialized():
                return self._strip(words)
            with initialize_config_dir(version_base="1.3", config_dir=str(self._config_dir)):
                return self._strip(words)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise self._explained(error, words) from None

    def _strip(self, words: list[str]) -> DictConfig:
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(CONFIG_NAME, overrides=words, run_mode=RunMode.RUN)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config

    def _explained(self, error: Exception, words: list[str]) -> ConfigError:
        if isinstance(error, ConfigError):
            return error
        first_line = str(error).strip().splitlines()[0]
        return ConfigError(f"{first_line} (in: {' '.join(words)})")

    def _set(self, config: DictConfig, override: Override) -> None:
        key = override.key_or_group
        parent_key, _, name = key.rpartition(".")
        parent = OmegaConf.select(config, parent_key) if parent_key else config
        if not isinstance(parent, DictConfig) or name not in parent:
            valid = _leaf_keys(config)
            where = self._defined_in(config, key)
            siblings = [k for k in valid if k.rpartition(".")[0] == parent_key] or valid
            raise ConfigError(
                f"{key}: there is no such setting." + hint(key, siblings, "Settings", where)
            )
        if isinstance(parent[name], DictConfig):
            raise ConfigError(
                f"{key} is a group of settings and takes no value; got {override.input_line}. "
                f"Set one of {', '.join(f'{key}.{leaf}' for leaf in parent[name])}."
            )
        parent[name] = override.value()

    def _defined_in(self, config: DictConfig, key: str) -> str:
        group = key.split(".")[0]
        if group in self.groups and isinstance(config.get(group), DictConfig):
            name = config[group].get("name")
            if name in self.groups[group]:
                return f"configs/{group}/{name}.yaml"
        return f"configs/{CONFIG_NAME}.yaml"


def parse(words: Sequence[str]) -> list[Override]:
    """Hydra's grammar of overrides.

    Raises:
        ConfigError: for a word outside it.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(overrides=list(words))
    except HydraException as error:
        raise ConfigError(
            f"{str(error).splitlines()[0]} Words have the form key=value; quote brackets, "
            "as in 'probe=[ics]'."
        ) from None
    return overrides


def _is_value(override: Override) -> bool:
    """Whether an override only sets the value of a key that exists."""
    plain = not (override.is_add() or override.is_delete() or override.is_force_add())
    return plain and override.package is None and not override.key_or_group.startswith("hydra")


def _leaf_keys(config: DictConfig, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, value in config.items():
        full = f"{prefix}{name}"
        keys += _leaf_keys(value, f"{full}.") if isinstance(value, DictConfig) else [full]
    return keys
