"""Where Hydra looks for a sweeper: with `-m` it hands the command's words to normlab's own."""

from __future__ import annotations

import sys
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class NormlabSweeper(Sweeper):
    """Composes and checks every run of a sweep before anything is written or started."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._config_dir = next(
            source.path
            for source in hydra_context.config_loader.get_sources()
            if source.provider == "main"
        )
        self._words_for_hydra = list(config.hydra.overrides.hydra)

    def sweep(self, arguments: list[str]) -> Any:
        from normlab.cli.train.runs import sweep
        from normlab.config.compose import parse, refuse_hydra_launching

        for override in parse(self._words_for_hydra):
            refuse_hydra_launching(override)
        sys.exit(sweep(arguments, self._config_dir))


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="normlab",
    node={"_target_": f"{NormlabSweeper.__module__}.{NormlabSweeper.__qualname__}"},
    provider="normlab",
)
