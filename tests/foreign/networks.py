"""All of them."""

from __future__ import annotations

from foreign.handwritten import HANDWRITTEN
from foreign.huggingface_families import HUGGING_FACE
from foreign.network import Foreign
from foreign.timm_families import TIMM
from foreign.torchvision_families import TORCHVISION

NETWORKS: list[Foreign] = [*HANDWRITTEN, *TORCHVISION, *TIMM, *HUGGING_FACE]
