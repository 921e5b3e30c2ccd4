"""Normalization layers, one file a family.

A configuration builds its layer, for anyone's network::

    layer = RenormConfig(r_max=3.0).build(64)  # for (N, 64) and (N, 64, H, W)

The registry imports every module of this package when it is asked what there is, so that a new
normalization is one file here and one YAML file in `configs/norm/`.
"""

from normlab.norms.batch import BatchConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.group import GroupConfig
from normlab.norms.instance import InstanceConfig
from normlab.norms.layer import LayerConfig
from normlab.norms.lp import LpConfig
from normlab.norms.noise import BatchNoisyConfig, NoiseConfig
from normlab.norms.none import NoNormConfig
from normlab.norms.renorm import RenormConfig
from normlab.norms.rms import RMSConfig

__all__ = [
    "BatchChannelConfig",
    "BatchConfig",
    "BatchNoisyConfig",
    "GhostConfig",
    "GroupConfig",
    "InstanceConfig",
    "LayerConfig",
    "LpConfig",
    "NoNormConfig",
    "NoiseConfig",
    "RMSConfig",
    "RenormConfig",
]
