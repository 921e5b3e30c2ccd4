"""A linear map of Gaussian vectors, to be learnt from samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from normlab.config import DataConfig, neutral, register, setting
from normlab.data.dataset import Dataset
from normlab.data.prepare import prepare
from normlab.data.source import Source
from normlab.randomness import derive_seed, generator


@register("gaussian")
@dataclass(frozen=True, kw_only=True)
class GaussianDataConfig(DataConfig):
    """x ~ N(0, I) with target A x, A square with N(0, 1) entries (Santurkar et al. 2018, app. A).

    Training and held-out samples are drawn alike, `num_samples` each, in float64; both and A
    depend on `data.seed` alone, so runs with different seeds learn the same map. With
    `data.redrawn` they depend on the run's seed too: what then differs between seeds is the task
    as well as the network, and an interval over seeds speaks of other tasks of the kind.
    """

    TASK: ClassVar[Literal["classification", "regression"]] = "regression"

    num_samples: int = setting(1000, "In the training set; the test set is as large.", at_least=1)
    num_features: int = setting(10, "D of x and of A x.", at_least=1)
    seed: int = setting(0, "Of x and A; the run's own seed does not move the data.", at_least=0)
    redrawn: bool = neutral(
        False, "Whether each seed of a run has x and A of its own; false: the same for all seeds."
    )
    standardize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("binarize", "augment"):
            if getattr(self, key):
                raise ValueError(
                    f"data.{key} needs images; data=gaussian holds vectors. Give data.{key}=false."
                )
        for key in ("train_corruption", "test_corruption"):
            if getattr(self, key) != "none":
                raise ValueError(
                    f"data.{key} needs images; data=gaussian holds vectors. Give data.{key}=none."
                )
        if isinstance(self.resize, int):
            raise ValueError(
                "data.resize needs images; data=gaussian holds vectors. Give data.resize=auto."
            )

    def canonical(self) -> Self:
        return dataclasses.replace(super().canonical(), resize="auto")

    def missing(self) -> None:
        return None

    @property
    def native_shape(self) -> tuple[int, ...]:
        return (self.num_features,)

    @property
    def num_outputs(self) -> int:
        return self.num_features

    @property
    def num_stored_samples(self) -> int:
        return self.num_samples

    def of_run(self, seed: int) -> Self:
        if not self.redrawn:
            return self
        own = derive_seed(self.seed, "gaussian", "redrawn", seed)
        return dataclasses.replace(self, seed=own, redrawn=False)

    def checksum(self) -> str:
        return _draw(self.num_samples, self.num_features, self.seed).checksum

    def load(self, size: int | None, dtype: torch.dtype, device: torch.device) -> Dataset:
        if self.redrawn:
            raise ValueError(
                "with data.redrawn=true each seed of a run has data of its own; load those of one: "
                "config.data.of_run(seed)."
            )
        source = _draw(self.num_samples, self.num_features, self.seed)
        # Copied where the dtype is the draws' own: these are kept, and shared by runs.
        return prepare(
            self, source, lambda inputs: inputs.to(dtype, copy=True), device, num_classes=None
        )


@lru_cache(maxsize=8)
def _draw(num_samples: int, num_features: int, seed: int) -> Source:
    def normal(name: str, num_rows: int) -> Tensor:
        draws = generator(seed, "gaussian", name)
        return torch.randn(num_rows, num_features, generator=draws, dtype=torch.float64)

    A, train, test = (
        normal("map", num_features),
        normal("train", num_samples),
        normal("test", num_samples),
    )
    return Source.of(
        train_inputs=train,
        train_targets=_apply(A, train),
        test_inputs=test,
        test_targets=_apply(A, test),
    )


def _apply(A: Tensor, inputs: Tensor) -> Tensor:
    # Column by column: a matrix product's bits, and so the checksum, differ between machines.
    targets = torch.zeros_like(inputs)
    for column in range(inputs.shape[1]):
        targets += inputs[:, column, None] * A[:, column]
    return targets
