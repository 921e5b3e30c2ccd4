"""Normalization layers, one file a family.

A configuration builds its layer, for anyone's network::

    layer = RenormConfig(r_max=3.0).build(64)  # for (N, 64) and (N, 64, H, W)

The registry imports every module of this package when it is asked what there is, so that a new
normalization is one file here and one YAML file in `configs/norm/`.
"""

from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.norms.batch_channel import BatchChannelConfig, ChannelNorm, EstimatedBatchNorm
from normlab.norms.ghost import GhostBatchNorm, GhostConfig
from normlab.norms.group import GroupConfig, GroupNorm
from normlab.norms.instance import InstanceConfig, InstanceNorm
from normlab.norms.layer import LayerConfig, LayerNorm
from normlab.norms.lp import LpConfig, LpNorm
from normlab.norms.noise import BatchNoisyConfig, NoiseNormConfig, UnitNoise
from normlab.norms.none import NoNormConfig
from normlab.norms.renorm import BatchRenorm, RenormConfig
from normlab.norms.rms import RMSConfig, RMSNorm

__all__ = [
    "BatchChannelConfig",
    "BatchConfig",
    "BatchNoisyConfig",
    "BatchNorm",
    "BatchRenorm",
    "ChannelNorm",
    "EstimatedBatchNorm",
    "GhostBatchNorm",
    "GhostConfig",
    "GroupConfig",
    "GroupNorm",
    "InstanceConfig",
    "InstanceNorm",
    "LayerConfig",
    "LayerNorm",
    "LpConfig",
    "LpNorm",
    "NoNormConfig",
    "NoiseNormConfig",
    "RMSConfig",
    "RMSNorm",
    "RenormConfig",
    "UnitNoise",
]
