"""Compose command-line words and `configs/` into nested plain values, by means of Hydra."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from normlab.config.errors import ConfigError, no_such_setting, unknown
from normlab.config.places import Places
from normlab.config.registry import MODULES, choices, owners
from normlab.config.source import CONFIG_NAME, hydra_over
from normlab.words import did_you_mean

HYDRA_LAUNCHING = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweep")


class Composer:
    """Composes many runs from `configs/`.

    Selecting a group's file (`norm=batch`) takes Hydra some 50 ms; setting a value
    (`optimizer.lr=0.5`) takes none, so each distinct selection is composed once and values are
    set on a copy.
    """

    def __init__(self, *folders: Path) -> None:
        """
        Args:
            folders: the configs that came with normlab, then one's own, which extend them.

        Raises:
            ConfigError: for a file of one's own that has the name of another.
        """
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._folders = folders
        self.groups = _groups(folders)
        self.hydra = hydra_over(folders)

    @classmethod
    def at(cls, folder: Path) -> Self:
        """With normlab's configs, and those of a folder one stands in.

        Raises:
            ConfigError: likewise.
        """
        return cls(*Places(folder).configs)

    def compose(self, words: Sequence[str]) -> dict[str, Any]:
        """The nested plain values that `words`, as on the command line, stand for.

        Raises:
            ConfigError: for a word that is not Hydra's grammar, a choice or key that does not
                exist, with the nearest that does.
        """
        overrides = parse(words)
        for override in overrides:
            refuse_hydra(override)
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
        except MissingMandatoryValue as error:
            missing = error.full_key
            raise ConfigError(f"{missing} has no value; give {missing}=VALUE.") from None
        except OmegaConfBaseException as error:
            where = f"{error.full_key}: " if error.full_key else ""
            raise ConfigError(f"{where}{str(error).splitlines()[0]}.") from None
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    def _refuse_unknown_choice(self, override: Override) -> None:
        group = override.key_or_group
        if group not in self.groups or override.is_delete():
            return
        value = override.value()
        if isinstance(value, list) and group != "probe":
            listed = ",".join(map(str, value))
            raise ConfigError(
                f"{override.input_line}: a run has one {group}. Give one, or all of them to a "
                f"sweep: -m {group}={listed}."
            )
        for choice in value if isinstance(value, list) else [value]:
            if choice is None or str(choice) not in self.groups[group]:
                word = "null" if choice is None else str(choice)
                where = f"configs/{group}/"
                text = unknown(group, word, self.groups[group], where)
                raise ConfigError(text + self._looked(group, word))

    def _looked(self, group: str, word: str) -> str:
        """Where a choice of one's own was looked for, and what there was missing of it."""
        text = ""
        own = self._folders[1:]
        if any(file.stem == word for folder in own for file in folder.glob(f"{group}/*.yml")):
            text = f" configs/{group}/{word}.yml is not read: call it {word}.yaml."
        elif word in choices(group):
            line = f"# @package probe.{word}" if group == "probe" else f"name: {word}"
            text = (
                f" A {group} of that name is registered; to choose it, write the line `{line}` "
                f"into configs/{group}/{word}.yaml."
            )
        places = "".join(f" Looked in {folder / group} too." for folder in own)
        return text + places

    def _load(self, words: list[str]) -> DictConfig:
        loader = self.hydra.config_loader
        try:
            config = loader.load_configuration(CONFIG_NAME, words, run_mode=RunMode.RUN)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise self._explained(error, words) from None
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
        if not isinstance(parent, DictConfig):
            raise ConfigError(self._no_such_group(config, key))
        if name not in list(parent):
            prefix = f"{parent_key}." if parent_key else ""
            beside = [*parent, *self.groups] if parent is config else parent
            valid = [f"{prefix}{other}" for other in dict.fromkeys(beside) if other != "name"]
            where = self._defined_in(config, key)
            raise ConfigError(no_such_setting(key, valid, where, owners(parent_key, name)))
        if name == "name":
            raise ConfigError(
                f"{key} is set by choosing a {parent_key}: {parent_key}={override.value()}."
            )
        if isinstance(parent.get(name), DictConfig):
            raise ConfigError(
                f"{key} is a group of settings and takes no value; got {override.input_line}. "
                f"Set one of {', '.join(f'{key}.{leaf}' for leaf in map(str, parent[name]))}."
            )
        parent[name] = override.value()

    def _no_such_group(self, config: DictConfig, key: str) -> str:
        """The text for a key below something that has no settings."""
        first, second, *_ = key.split(".")
        if first in self.groups and second in self.groups[first]:
            return f"{key} needs {first}={second}, which is not chosen: add '{first}=[{second}]'."
        return f"{key}: there is no such setting.{did_you_mean(key, _leaf_keys(config))}"

    def _defined_in(self, config: DictConfig, key: str) -> str:
        group, *rest = key.split(".")
        if len(rest) > 1 and rest[0] in self.groups.get(group, ()):
            return f"configs/{group}/{rest[0]}.yaml"
        if group in self.groups and isinstance(config.get(group), DictConfig):
            name = config[group].get("name")
            if name in self.groups[group]:
                return f"configs/{group}/{name}.yaml"
        return f"configs/{CONFIG_NAME}.yaml"


def _groups(folders: Sequence[Path]) -> dict[str, list[str]]:
    """The choices of each group, by the names of files."""
    found: dict[str, dict[str, Path]] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/*.yaml")):
            if file.parent.name not in MODULES or not file.is_file():
                continue  # of a project that is not ours
            choices = found.setdefault(file.parent.name, {})
            other = choices.setdefault(file.stem, file)
            if other.resolve() != file.resolve():
                raise ConfigError(
                    f"{file}: there is a {file.parent.name} of that name already ({other}). "
                    "Rename the file."
                )
    return {group: sorted(choices) for group, choices in sorted(found.items())}


def parse(words: Sequence[str]) -> list[Override]:
    """Hydra's grammar of overrides.

    Raises:
        ConfigError: for the first word outside it.
    """
    parser = OverridesParser.create()
    overrides = []
    for word in words:
        try:
            override = parser.parse_override(word)
        except HydraException:
            functions = _FUNCTIONS if _CALL.search(word) else ""
            raise ConfigError(_NOT_GRAMMAR.format(word=word) + functions) from None
        if not override.key_or_group:
            raise ConfigError(_NOT_GRAMMAR.format(word=word))
        overrides.append(override)
    return overrides


def refuse_hydra_launching(override: Override) -> None:
    """Hydra's own launchers and sweepers would start every run without its sweep's plan.

    Raises:
        ConfigError: for a word that chooses or sets one.
    """
    if override.key_or_group.startswith(HYDRA_LAUNCHING):
        raise ConfigError(
            f"{override.input_line}: normlab carries out sweeps itself. "
            "Give launcher=serial or launcher=pool in its place."
        )


def refuse_hydra(override: Override) -> None:
    """Hydra only composes; its own settings (hydra.run.dir, hydra/job_logging) would do nothing.

    Raises:
        ConfigError: for a word that sets one.
    """
    refuse_hydra_launching(override)
    if is_hydras(override):
        raise ConfigError(
            f"{override.input_line}: normlab carries out runs itself, without Hydra's own "
            "settings. Leave it out; results_dir=DIR says where runs are recorded."
        )


def is_hydras(override: Override) -> bool:
    """Whether a word is about Hydra itself."""
    return override.key_or_group.replace("/", ".").split(".")[0] == "hydra"


_NOT_GRAMMAR = (
    "{word!r} is not of the form key=value. Close brackets and quotation marks, and keep the shell "
    "from reading them: 'probe=[ics]'."
)

_CALL = re.compile(r"=\s*\w+\(")
_FUNCTIONS = (
    " Of functions there are choice(a,b), range(0,10,2) and glob(a*), and around them shuffle, "
    "sort, tag, int, float, str and bool; text with brackets is quoted twice: KEY='\"a(b)\"'."
)


def _is_value(override: Override) -> bool:
    """Whether an override only sets the value of a key that exists."""
    plain = not (override.is_add() or override.is_delete() or override.is_force_add())
    return plain and override.package is None


def _leaf_keys(config: DictConfig, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, value in config.items():
        full = f"{prefix}{name!s}"
        keys += _leaf_keys(value, f"{full}.") if isinstance(value, DictConfig) else [full]
    return keys
