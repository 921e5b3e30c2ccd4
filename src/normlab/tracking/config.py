"""`tracker=offline|online|none`: where a run is mirrored to. Never part of its identity."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from normlab.config import TrackerConfig, register, setting
from normlab.tracking.process import ChildMirror, Mirror, NoMirror
from normlab.tracking.settings import MirrorSettings


@dataclass(frozen=True, kw_only=True)
class WandbConfig(TrackerConfig):
    """A mirror in Weights & Biases.

    The API key and the server's address are wandb's own business (`wandb login`,
    WANDB_API_KEY, WANDB_BASE_URL); no other setting is read from the environment, but the sweep
    that a W&B agent has started the run for (WANDB_SWEEP_ID).
    """

    MODE: ClassVar[Literal["online", "offline"]]

    project: str = setting("normlab", "The project that runs appear in.")
    entity: str | None = setting(
        None, "The user or team that owns the project; None: the account's default."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.project or set(self.project) & set("/\\#?%:"):
            raise ValueError(
                "tracker.project must be a name without any of / \\ # ? % : "
                f"(W&B refuses them); got {self.project!r}."
            )

    def start(self, results_dir: Path, factors: tuple[str, ...]) -> Mirror:
        return ChildMirror(self.settings(results_dir, factors))

    def settings(self, results_dir: Path, factors: tuple[str, ...]) -> MirrorSettings:
        return MirrorSettings(
            mode=self.MODE,
            project=self.project,
            entity=self.entity,
            results_dir=results_dir.resolve(),
            factors=factors,
            sweep=os.environ.get("WANDB_SWEEP_ID"),
        )


@register("offline")
@dataclass(frozen=True, kw_only=True)
class OfflineConfig(WandbConfig):
    """W&B's files on this machine only, in RESULTS/wandb; no account, no network."""

    MODE = "offline"


@register("online")
@dataclass(frozen=True, kw_only=True)
class OnlineConfig(WandbConfig):
    """Live on a W&B server."""

    MODE = "online"


@register("none")
@dataclass(frozen=True, kw_only=True)
class NoneConfig(TrackerConfig):
    """The run folders alone."""

    def start(self, results_dir: Path, factors: tuple[str, ...]) -> Mirror:
        return NoMirror()
