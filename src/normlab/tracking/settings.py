"""Settings of the mirror, which reach its process as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from normlab.tracking.conversation import PATIENCE_SECONDS


@dataclass(frozen=True, kw_only=True)
class MirrorSettings:
    mode: Literal["online", "offline"]
    project: str
    entity: str | None
    results_dir: Path
    """W&B's own files go to `results_dir`/wandb."""
    factors: tuple[str, ...] = ()
    """Dotted keys of what the sweep varies, such as `optimizer.lr`."""
    sweep: str | None = None
    """The W&B sweep whose agent has started the run."""
    patience_seconds: float = PATIENCE_SECONDS
    """After how long without an answer W&B is given up for a while."""

    @property
    def wandb_dir(self) -> Path:
        return self.results_dir / "wandb"

    def to_json(self) -> str:
        return json.dumps({**dataclasses.asdict(self), "results_dir": str(self.results_dir)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        plain = json.loads(text)
        plain["results_dir"] = Path(plain["results_dir"])
        plain["factors"] = tuple(plain["factors"])
        return cls(**plain)
