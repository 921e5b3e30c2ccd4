"""The W&B mirror: a copy of the run folders, made live or afterwards by the same code."""

from normlab.tracking.config import NoneConfig, OfflineConfig, OnlineConfig
from normlab.tracking.process import Mirror, NoMirror, start_mirror
from normlab.tracking.settings import MirrorSettings

__all__ = [
    "Mirror",
    "MirrorSettings",
    "NoMirror",
    "NoneConfig",
    "OfflineConfig",
    "OnlineConfig",
    "start_mirror",
]
