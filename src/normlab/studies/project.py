"""A folder one works in: its experiments and configs, with those that came with normlab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from normlab.analysis.withdrawn import Withdrawn, load_withdrawn
from normlab.config.compose import Composer
from normlab.config.errors import ConfigError, hint
from normlab.config.places import Places
from normlab.studies.experiment import Experiment


@dataclass(frozen=True)
class Project:
    """Experiments by name, and the folder their results go to."""

    here: Path

    @property
    def results(self) -> Path:
        return Places(self.here).results

    @property
    def names(self) -> list[str]:
        return list(Places(self.here).experiments())

    def withdrawn(self) -> dict[str, tuple[Withdrawn, ...]]:
        """The claims that no longer stand, by experiment."""
        folders = Places(self.here).experiments()
        found = {name: load_withdrawn(folder) for name, folder in folders.items()}
        return {name: claims for name, claims in found.items() if claims}

    def composer(self) -> Composer:
        return Composer.at(self.here)

    def load(self, names: Sequence[str]) -> list[Experiment]:
        """Experiments by name; `all` stands for every one there is.

        Raises:
            ConfigError: for a name that is no experiment's, with the nearest that is.
        """
        folders = Places(self.here).experiments()
        for name in names:
            if name not in folders and name != "all":
                raise ConfigError(
                    f"{name}: there is no such experiment." + hint(name, folders, "Experiments")
                )
        chosen = folders if "all" in names else {name: folders[name] for name in names}
        return [Experiment.load(folder) for folder in chosen.values()]
