"""The deep linear network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from normlab.config import ModelConfig, NormConfig, neutral, register, setting
from normlab.models.chain import Chain, NamedModule
from normlab.models.kit import Kit


@register("deep_linear")
@dataclass(frozen=True, kw_only=True)
class DeepLinearConfig(ModelConfig):
    """y = W_25 ... W_2 W_1 x: square maps, no bias, no activation (Santurkar et al. 2018, App. A).

    Maps are named linear1 ... linear25. With a normalization, one follows every map but the last;
    the paper says "after each linear map" and leaves the last one open, so `normalize_output` adds
    it there too. Input (N, D), output (N, D); the paper has D = 10.
    """

    SAMPLE: ClassVar[Literal["image", "vector", "any"]] = "vector"

    depth: int = setting(25, "Number of maps.", at_least=1, at_most=10_000)
    normalize_output: bool = neutral(False, "Normalize the last map's outputs as well.")

    def effective_norm(self, norm: NormConfig) -> NormConfig:
        return dataclasses.replace(norm, position="before")  # there is no activation to be after

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        if len(sample_shape) != 1:
            raise ValueError(
                f"model=deep_linear maps vectors (features,); a sample of this data has shape "
                f"{sample_shape}. Choose data=gaussian, or model=mlp, which flattens images."
            )
        (features,) = sample_shape
        if num_outputs != features:
            raise ValueError(
                f"model=deep_linear is made of square maps, so it needs as many outputs as inputs; "
                f"this data has {features} inputs and {num_outputs} outputs. Choose data=gaussian, "
                "or model=mlp."
            )
        kit = kit.with_activation("identity")
        stages: list[NamedModule] = []
        for index in range(1, self.depth):
            stages += kit.unit(index, kit.linear(features, features, bias=False))
        last = kit.output(features, features, bias=False)
        if self.normalize_output:
            stages += kit.unit(self.depth, last)
        else:
            stages.append((f"linear{self.depth}", last))
        return Chain(stages)
