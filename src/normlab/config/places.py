"""Where names are looked up: what came with normlab, and what lies in the folder one stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from normlab.config.errors import ConfigError
from normlab.words import refuse_no_file_name

BESIDE_EXPERIMENTS = ("runs", "sweeps", "report", "rerun", "wandb")
"""What else lies in a results folder, under names that no experiment has."""

_PACKED = Path(__file__).resolve().parent.parent / "packed"
_CHECKOUT = Path(__file__).resolve().parents[3]


def packed_root() -> Path:
    """The folder of the configs/ and experiments/ that came with normlab.

    A wheel carries them inside the package; in a checkout they stand at its top.
    """
    return _PACKED if _PACKED.is_dir() else _CHECKOUT


def is_checkout() -> bool:
    """Whether normlab's code lies in a checkout, and not where a wheel was installed."""
    return packed_root() == _CHECKOUT


@dataclass(frozen=True)
class Places:
    """Configs and experiments of `here` extend the packed ones; results go to `here`."""

    here: Path

    @property
    def roots(self) -> tuple[Path, ...]:
        """The packed root, then one's own folder; a checkout of normlab is nobody's own, for its
        configs belong to its code."""
        packed = packed_root()
        is_checkout = (self.here / "src" / "normlab").is_dir()
        return (packed,) if is_checkout else (packed, self.here)

    @property
    def configs(self) -> tuple[Path, ...]:
        """The packed configs/, then one's own where there are any."""
        folders = [root / "configs" for root in self.roots]
        return tuple(folder for folder in folders if folder.is_dir())

    @property
    def results(self) -> Path:
        return self.here / "results"

    def experiments(self) -> dict[str, Path]:
        """Every experiment's folder by name, in alphabetical order.

        Raises:
            ConfigError: one's own has the name of another, or of none that it could have.
        """
        folders: dict[str, Path] = {}
        for root in self.roots:
            for file in root.glob("experiments/*/experiment.yaml"):
                folder = file.parent
                _refuse_name(folder)
                other = folders.setdefault(folder.name, folder)
                if other.resolve() != folder.resolve():
                    raise ConfigError(
                        f"{folder}: there is an experiment of that name already ({other}). "
                        "Rename the folder."
                    )
        return dict(sorted(folders.items()))


def _refuse_name(folder: Path) -> None:
    """An experiment's name becomes that of a folder in the results."""
    if folder.name in ("all", *BESIDE_EXPERIMENTS):
        raise ConfigError(
            f"{folder}: {folder.name} is the name of something else: `all` stands for every "
            f"experiment, and results/ holds {', '.join(BESIDE_EXPERIMENTS)}. Rename the folder."
        )
    try:
        refuse_no_file_name(f"{folder.parent}: an experiment's folder", folder.name)
    except ValueError as error:
        raise ConfigError(str(error)) from None
