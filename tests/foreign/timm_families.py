"""timm's families, as small as they go."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
from timm.layers import GatedMlp, GroupNormAct, StdConv2d
from timm.models.beit import Beit
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from timm.models.cait import Cait
from timm.models.convmixer import ConvMixer
from timm.models.convnext import ConvNeXt
from timm.models.davit import DaVit
from timm.models.edgenext import EdgeNeXt
from timm.models.eva import Eva
from timm.models.focalnet import FocalNet
from timm.models.hiera import Hiera
from timm.models.levit import Levit
from timm.models.metaformer import MetaFormer, Pooling
from timm.models.mlp_mixer import MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.nfnet import NfCfg, NormFreeNet
from timm.models.pit import PoolingVisionTransformer
from timm.models.resnetv2 import ResNetV2
from timm.models.sequencer import Sequencer2d
from timm.models.twins import Twins
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from timm.models.xcit import Xcit

from foreign.network import NUM_CLASSES, Foreign, adam, images

small: dict[str, Any] = {"num_classes": NUM_CLASSES}
vit: dict[str, Any] = {
    "img_size": 8, "patch_size": 4, "embed_dim": 8, "depth": 2, "num_heads": 2, "mlp_ratio": 2,
    **small,
}  # fmt: skip


def normalizer_free(**more: Any) -> Any:
    settings = NfCfg(
        depths=(1, 1), channels=(16, 16), stem_type="3x3", stem_chs=8, group_size=None,
        bottle_ratio=0.5, num_features=0, **more,
    )  # fmt: skip
    return NormFreeNet(settings, **small)


def of_blocks(kind: str, **settings: Any) -> Any:
    """A first stage of plain bottlenecks, then one with self-attention."""
    blocks = (
        ByoBlockCfg("bottle", d=1, c=8, s=1, br=0.5),
        ByoBlockCfg("self_attn", d=1, c=16, s=2, br=0.5),
    )
    config = ByoModelCfg(
        blocks=blocks, stem_chs=8, stem_type="3x3", stem_pool="", self_attn_layer=kind,
        self_attn_kwargs=settings, num_features=0,
    )  # fmt: skip
    return ByobNet(config, img_size=16, **small)


def residual(name: str, **more: Any) -> Any:
    """One of the variants of timm's ResNet, of few blocks and narrow."""
    return timm.create_model(
        name, pretrained=False, layers=(1, 1, 1, 1), channels=(8, 8, 16, 16), stem_width=8,
        **small, **more,
    )  # fmt: skip


TIMM = [
    Foreign(name="timm nf_resnet", build=lambda: normalizer_free(), batch=images(12)),
    Foreign(
        name="timm nfnet",
        build=lambda: normalizer_free(
            attn_layer="se",
            attn_kwargs={"rd_ratio": 0.5},
            extra_conv=True,
            gamma_in_act=True,
            act_layer="silu",
            skipinit=True,
        ),
        batch=images(12),
    ),
    Foreign(
        name="timm resnet v2 standardized",
        build=lambda: ResNetV2(
            [1, 1],
            [16, 16],
            conv_layer=StdConv2d,
            stem_chs=8,
            stem_type="fixed",
            norm_layer=partial(GroupNormAct, num_groups=4),
            **small,
        ),
        batch=images(16),
    ),
    Foreign(
        name="timm bottleneck transformer",
        build=lambda: of_blocks("bottleneck", dim_head=4),
        batch=images(16),
    ),
    Foreign(
        name="timm halonet",
        build=lambda: of_blocks("halo", block_size=4, halo_size=1, dim_head=4),
        batch=images(16),
    ),
    Foreign(
        name="timm lambda", build=lambda: of_blocks("lambda", dim_head=4, r=3), batch=images(16)
    ),
    Foreign(
        name="timm convnext",
        build=lambda: ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 8, 12), ls_init_value=0.5, **small),
        batch=images(32, count=2),
        feature_axis=-1,
    ),
    Foreign(
        name="timm convnext grn",
        build=lambda: ConvNeXt(
            depths=(1, 1, 1, 1),
            dims=(8, 8, 8, 12),
            use_grn=True,
            conv_mlp=True,
            ls_init_value=None,
            **small,
        ),
        batch=images(32, count=2),
    ),
    Foreign(
        name="timm mixer",
        build=lambda: MlpMixer(img_size=8, patch_size=4, num_blocks=2, embed_dim=8, **small),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm resmlp",
        build=lambda: MlpMixer(
            img_size=8,
            patch_size=4,
            num_blocks=2,
            embed_dim=8,
            block_layer=ResBlock,
            mlp_ratio=2,
            **small,
        ),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm gmlp",
        build=lambda: MlpMixer(
            img_size=8,
            patch_size=4,
            num_blocks=2,
            embed_dim=8,
            block_layer=SpatialGatingBlock,
            mlp_layer=GatedMlp,
            mlp_ratio=2,
            **small,
        ),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm vit",
        build=lambda: VisionTransformer(qk_norm=True, **vit),
        batch=images(8),
        optimizer=adam,
        feature_axis=-1,
    ),
    Foreign(
        name="timm deit",
        build=lambda: VisionTransformer(
            init_values=0.1, drop_path_rate=0.1, proj_drop_rate=0.1, **vit
        ),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm vit parallel",
        build=lambda: VisionTransformer(block_fn=ParallelScalingBlock, **vit),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm vit relative",
        build=lambda: VisionTransformerRelPos(class_token=False, **vit),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm beit",
        build=lambda: Beit(use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1, **vit),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm eva",
        build=lambda: Eva(use_rot_pos_emb=True, swiglu_mlp=True, scale_mlp=True, **vit),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm cait",
        build=lambda: Cait(img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, **small),
        batch=images(8),
        feature_axis=-1,
    ),
    Foreign(
        name="timm xcit",
        build=lambda: Xcit(
            img_size=16,
            patch_size=8,
            embed_dim=8,
            depth=1,
            cls_attn_layers=1,
            num_heads=2,
            mlp_ratio=2,
            eta=1.0,
            **small,
        ),
        batch=images(16),
        feature_axis=-1,
    ),
    Foreign(
        name="timm poolformer",
        build=lambda: MetaFormer(depths=(1, 1), dims=(8, 12), token_mixers=Pooling, **small),
        batch=images(16),
    ),
    Foreign(
        name="timm convmixer",
        build=lambda: ConvMixer(8, 2, kernel_size=3, patch_size=4, **small),
        batch=images(12),
    ),
    Foreign(
        name="timm levit",
        build=lambda: Levit(
            img_size=32,
            embed_dim=(8, 8),
            key_dim=4,
            depth=(1, 1),
            num_heads=(1, 1),
            attn_ratio=1,
            mlp_ratio=2,
            **small,
        ),
        batch=images(32),
        feature_axis=-1,
    ),
    Foreign(
        name="timm pit",
        build=lambda: PoolingVisionTransformer(
            img_size=16,
            patch_size=4,
            stride=4,
            stem_type="non-overlap",
            base_dims=(4, 4),
            depth=(1, 1),
            heads=(2, 2),
            mlp_ratio=2,
            **small,
        ),
        batch=images(16),
        feature_axis=-1,
    ),
    Foreign(
        name="timm twins",
        build=lambda: Twins(
            img_size=32,
            patch_size=4,
            embed_dims=(8, 8),
            num_heads=(1, 1),
            mlp_ratios=(2, 2),
            depths=(1, 1),
            sr_ratios=(2, 1),
            wss=None,
            **small,
        ),
        batch=images(32, count=2),
        feature_axis=-1,
    ),
    Foreign(
        name="timm davit",
        build=lambda: DaVit(
            depths=(1, 1), embed_dims=(8, 8), num_heads=(2, 2), window_size=4, mlp_ratio=2, **small
        ),
        batch=images(32, count=2),
        feature_axis=-1,
    ),
    Foreign(
        name="timm edgenext",
        build=lambda: EdgeNeXt(
            dims=(8, 8, 8, 16),
            depths=(1, 1, 1, 1),
            global_block_counts=(0, 0, 1, 0),
            kernel_sizes=(3, 3, 3, 3),
            heads=(2, 2, 2, 2),
            d2_scales=(2, 2, 2, 2),
            **small,
        ),
        batch=images(32, count=2),
        feature_axis=-1,
    ),
    Foreign(
        name="timm focalnet",
        build=lambda: FocalNet(
            embed_dim=8, depths=(1, 1), focal_levels=(2, 2), focal_windows=(3, 3), **small
        ),
        batch=images(16),
    ),
    Foreign(
        name="timm hiera",
        build=lambda: Hiera(
            img_size=(32, 32),
            embed_dim=8,
            num_heads=1,
            stages=(1, 1),
            q_pool=1,
            mlp_ratio=2,
            mask_unit_size=(4, 4),
            mask_unit_attn=(True, False),
            **small,
        ),
        batch=images(32, count=2),
        feature_axis=-1,
    ),
    Foreign(
        name="timm sequencer",
        build=lambda: Sequencer2d(
            img_size=16,
            layers=(1, 1),
            patch_sizes=(4, 1),
            embed_dims=(8, 8),
            hidden_sizes=(4, 4),
            mlp_ratios=(2, 2),
            **small,
        ),
        batch=images(16),
        feature_axis=-1,
    ),
    Foreign(name="timm squeeze and excite", build=lambda: residual("seresnet50"), batch=images(16)),
    Foreign(name="timm selective kernel", build=lambda: residual("skresnet18"), batch=images(16)),
    Foreign(name="timm split attention", build=lambda: residual("resnest14d"), batch=images(16)),
    Foreign(
        name="timm efficient channel", build=lambda: residual("ecaresnet50t"), batch=images(16)
    ),
]
