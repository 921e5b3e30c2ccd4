"""The typed configuration of a run, and the way from command-line words and YAML to it."""

from normlab.config import check
from normlab.config.component import (
    Component,
    DataConfig,
    InitConfig,
    LauncherConfig,
    ModelConfig,
    NormConfig,
    OptimizerConfig,
    ProbeConfig,
    ScheduleConfig,
    TrackerConfig,
)
from normlab.config.look import Look
from normlab.config.registry import choices, register
from normlab.config.run import (
    CheckpointConfig,
    EvalConfig,
    NoiseConfig,
    RegularizerConfig,
    ResolvedRun,
    RunConfig,
)
from normlab.config.settings import neutral, setting

__all__ = [
    "CheckpointConfig",
    "Component",
    "DataConfig",
    "EvalConfig",
    "InitConfig",
    "LauncherConfig",
    "Look",
    "ModelConfig",
    "NoiseConfig",
    "NormConfig",
    "OptimizerConfig",
    "ProbeConfig",
    "RegularizerConfig",
    "ResolvedRun",
    "RunConfig",
    "ScheduleConfig",
    "TrackerConfig",
    "check",
    "choices",
    "neutral",
    "register",
    "setting",
]
