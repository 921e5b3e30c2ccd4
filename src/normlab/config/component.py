"""What a run is composed of: one frozen dataclass a component, found by its name in YAML.

A component's dataclass lives beside the class or function it builds (`norms/batch.py` holds both
`BatchConfig` and `BatchNorm`) and registers itself under its group and name. The abstract bases
below are the seams: a training run knows these and no component by name.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from normlab.config.errors import ConfigError
from normlab.config.look import Look
from normlab.config.settings import Settings, neutral, setting

Corruption = Literal["none", "contrast", "gaussian_noise", "jpeg", "grey", "dark"]
"""What `normlab.data.corruptions` can do to images."""

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn
    from torch.optim.optimizer import ParamsT

    from normlab.data.dataset import Dataset
    from normlab.launch.display import Display
    from normlab.launch.execute import Result
    from normlab.launch.stopping import Stop
    from normlab.models.chain import Chain
    from normlab.models.kit import Kit
    from normlab.plan.runs import PlannedRun
    from normlab.probes.base import Probe
    from normlab.tracking import Mirror


@dataclass(frozen=True, kw_only=True)
class Component(Settings, ABC):
    """One choice of one group, with its settings.

    `REVISION` is raised whenever the numbers a component produces change, so that results made
    by older code keep their own identity.
    """

    GROUP: ClassVar[str]
    NAME: ClassVar[str]
    REVISION: ClassVar[int] = 1

    @property
    def key(self) -> str:
        return self.GROUP

    @property
    def revision(self) -> int:
        """`REVISION`, unless only some settings of the component changed their numbers."""
        return self.REVISION

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Of a group's base: whichever component the `name` in a mapping stands for."""
        if hasattr(cls, "NAME"):
            return handler(source)
        from pydantic_core import core_schema

        from normlab.config.convert import component

        return core_schema.no_info_plain_validator_function(partial(component, cls.GROUP))

    def canonical(self) -> Self:
        """The same science with every setting that has no effect put back to its default."""
        return self


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Component):
    GROUP: ClassVar[str] = "model"
    SAMPLE: ClassVar[Literal["image", "vector", "any"]] = "image"
    """A sample: an image (C, H, W), a vector (D,), or either (images are flattened)."""
    INPUT_SIZE: ClassVar[int | None] = None
    """The image side in pixels that `data.resize=auto` provides; None: the data's own."""
    STAND_IN_LOOKS: ClassVar[Mapping[str, Look]] = {}
    """Of what its settings put in the place of a normalization: how figures draw it, where their
    column `norm` names it."""

    @abstractmethod
    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        """The network as a chain of named stages, parameters not yet initialized."""

    def effective_norm(self, norm: NormConfig) -> NormConfig:
        """The same normalization with settings without effect in this network at their defaults."""
        return norm

    def effective_beside(self, norm: NormConfig) -> Self:
        """The same network with settings without effect beside this normalization at their
        defaults."""
        return self.canonical()

    def remarks(self, init: InitConfig) -> list[str]:
        """Sentences on where this network decides about its start whatever `init=` draws."""
        return []


@dataclass(frozen=True, kw_only=True)
class NormConfig(Component):
    """Fields every normalization shares, `none` too, so that a sweep may set them over all.

    The facts in capitals are all that is known of a norm outside its own file.
    """

    GROUP: ClassVar[str] = "norm"
    HAS_LAYERS: ClassVar[bool] = True
    """Whether it puts layers into a network."""
    EVALUATES_AS: ClassVar[str | None] = None
    """The norm whose function it is in evaluation, by parameters of the same meaning: runs with
    such norms may start from one another. None: no other's."""
    DRAWS_NOISE: ClassVar[bool] = False
    """Whether its layers draw noise in training."""
    LOOK: ClassVar[Look | None] = None
    """In figures; None: one of the spare looks."""
    VARIANT_LOOKS: ClassVar[Mapping[str, Look]] = {}
    """Of settings that a figure sets side by side, by the words behind the name: "p=1" for the
    level "lp p=1" of a figure's `norm` column."""

    eps: float = setting(1e-5, "Added to the variance inside the root.", above=0)
    affine: bool = setting(True, "Learn a scale gamma and a shift beta for each feature.")
    position: Literal["before", "after"] = neutral(
        "before", "Place relative to the activation: before or after."
    )
    weight_standardization: bool | Literal["scaled"] = neutral(
        False,
        "true: standardize weights of hidden layers; scaled: also divide by the root of the fan.",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "LOOK" not in vars(cls):  # a look is one norm's own, never that of a norm made from it
            cls.LOOK, cls.VARIANT_LOOKS = None, {}

    @abstractmethod
    def build(self, num_features: int) -> nn.Module | None:
        """A layer for inputs (N, num_features) and (N, num_features, H, W); None: no layer."""

    def within(self, num_steps: int) -> Self:
        """The same normalization without what would only begin after a run of `num_steps`."""
        return self

    def is_in_evaluation(self, other: NormConfig) -> bool:
        """Whether the two are one function in evaluation, by parameters of the same meaning."""
        return (self.EVALUATES_AS or self.NAME) == (other.EVALUATES_AS or other.NAME)

    @property
    def needs_trained_statistics(self) -> bool:
        """Whether its first step trains by statistics that a run before has to have taken."""
        return False

    @property
    def evaluates_by_batch(self) -> bool:
        """Whether what it gives for a sample in evaluation depends on the samples beside it."""
        return False

    @property
    @abstractmethod
    def makes_bias_redundant(self) -> bool:
        """Whether a bias added right before this layer would be undone or repeated by it."""


@dataclass(frozen=True, kw_only=True)
class InitConfig(Component):
    GROUP: ClassVar[str] = "init"

    scale: float = neutral(1.0, "Multiplies the standard deviation of every weight.", at_least=0)

    def check(self, model: nn.Module) -> None:
        """Refuse, before anything is started, a network that cannot be initialized so."""

    @abstractmethod
    def apply(self, model: nn.Module, batch: torch.Tensor | None, seed: int) -> None:
        """Fill the parameters in place; each draw depends on the seed and the parameter's name."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Component):
    """Fields every data set shares; `root` says where the files lie and is not part of identity."""

    GROUP: ClassVar[str] = "data"
    TASK: ClassVar[Literal["classification", "regression"]] = "classification"
    STRETCHED_WHEN_READ: ClassVar[bool] = False
    """Stored images may differ in size, and have `data.resize` only once they are read."""

    root: str = setting("data", "The folder data sets lie in.")
    limit: int | None = neutral(None, "Use only the first `limit` training samples.", at_least=1)
    resize: int | Literal["auto"] | None = setting(
        "auto", "Side in pixels; auto: what the model wants; null: as stored.", at_least=1
    )
    binarize: bool = neutral(
        False, "Threshold pixels at one half (Ioffe & Szegedy 2015, section 4.1)."
    )
    standardize: bool = setting(
        True, "Subtract the training set's mean and divide by its deviation, for each channel."
    )
    augment: bool = neutral(False, "Random crop after padding by 4 pixels, and horizontal flip.")
    sampling: Literal["epoch", "with_replacement", "fixed_batches"] = neutral(
        "epoch",
        "epoch: each epoch a new order; with_replacement: each batch drawn from all samples; "
        "fixed_batches: the same samples together in every epoch, only the batches' order is new.",
    )
    validation_fraction: float = neutral(
        0.0, "Share of the training set held out as `val/*`.", at_least=0, below=1
    )
    train_corruption: Corruption = neutral(
        "none",
        "What is done to training and validation images, after standardization has been "
        "learnt from the clean ones.",
    )
    test_corruption: Corruption = neutral("none", "The same for test images.")
    corruption_severity: int = neutral(
        5,
        "1 to 5, with the constants of CIFAR-10-C (Hendrycks & Dietterich 2019); dark takes those "
        "of contrast, grey has none.",
        at_least=1,
        at_most=5,
    )
    order_in_batch: Literal["random", "by_class"] = neutral(
        "random",
        "by_class: the samples of a training batch sorted by class, so that ghosts "
        "(norm=batch_ghost) tend to be of one.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order_in_batch == "by_class" and self.TASK == "regression":
            raise ValueError(
                f"data.order_in_batch=by_class needs classes; data={self.NAME} is a regression. "
                "Give data.order_in_batch=random."
            )

    def canonical(self) -> Self:
        if {self.train_corruption, self.test_corruption} <= {"none", "grey"}:
            default = type(self).corruption_severity
            return dataclasses.replace(self, corruption_severity=default)
        return self

    def of_run(self, seed: int) -> Self:
        """The data that a run of this seed sees: the same for all, as a rule."""
        return self

    @property
    def label(self) -> str:
        """What figures and run names call the data."""
        return self.NAME

    @abstractmethod
    def missing(self) -> str | None:
        """None where the data can be read now; else what is absent and the command that gets it."""

    @property
    @abstractmethod
    def native_shape(self) -> tuple[int, ...]:
        """Shape of one stored sample, known without reading the data where possible."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """Classes to tell apart, or dimensions of the regression target."""

    @property
    @abstractmethod
    def num_stored_samples(self) -> int:
        """Training samples as stored, before `limit` and `validation_fraction`."""

    @property
    def num_val_samples(self) -> int:
        """Training samples set aside as `val/*`: their share, rounded down."""
        num_samples = self._num_limited_samples
        num_val = math.floor(self.validation_fraction * num_samples)
        if self.validation_fraction and num_val == 0:
            raise ValueError(
                "data.validation_fraction must set at least one sample aside; "
                f"{self.validation_fraction} of {num_samples} training samples is none. "
                "Raise data.validation_fraction or data.limit."
            )
        return num_val

    @property
    def num_train_samples(self) -> int:
        """Training samples a run trains on: after `limit`, without those set aside."""
        return self._num_limited_samples - self.num_val_samples

    @property
    def _num_limited_samples(self) -> int:
        stored = self.num_stored_samples
        if self.limit is not None and self.limit > stored:
            raise ValueError(
                f"data.limit must not exceed the {stored} training samples of data={self.NAME}; "
                f"got {self.limit}. Give data.limit=null for all of them."
            )
        return stored if self.limit is None else self.limit

    @abstractmethod
    def checksum(self) -> str:
        """sha256 of the stored arrays of both splits, before anything is done to them.

        One for the runs of a cell: data that each seed draws anew have that of a draw for none.
        """

    @abstractmethod
    def load(self, size: int | None, dtype: torch.dtype, device: torch.device) -> Dataset:
        """Tensors on the device, images resized to `size` pixels (None: as stored)."""


LARGEST_RATE = 3e38


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Component):
    GROUP: ClassVar[str] = "optimizer"

    lr: float = setting(doc="Learning rate, which the schedule multiplies.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr > LARGEST_RATE:
            raise ValueError(
                f"optimizer.lr must be at most {LARGEST_RATE:g}, for float32; got {self.lr:g}."
            )

    @abstractmethod
    def build(self, parameters: ParamsT) -> torch.optim.Optimizer:
        """Torch's optimizer on parameters, or on groups of them, which torch takes too."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Component):
    GROUP: ClassVar[str] = "schedule"

    @abstractmethod
    def factor(self, step: int, num_steps: int) -> float:
        """What multiplies `optimizer.lr` at a step of a run of `num_steps`."""

    def remarks(self, num_steps: int) -> list[str]:
        """Sentences on what a reader of the settings would not expect in a run of `num_steps`."""
        return []


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(Component):
    GROUP: ClassVar[str] = "probe"

    @property
    def key(self) -> str:
        return f"probe.{self.NAME}"

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The registered names of all that it may record with these settings, arrays too."""

    @abstractmethod
    def check(self, model: nn.Module) -> None:
        """Refuse, before anything is started, what cannot be measured on this model."""

    def resolved(self, num_steps: int) -> Self:
        """The same measurement with what depends on the run's length worked out."""
        return self

    def given_times(self) -> Mapping[str, Any]:
        """Those of its settings that say when it measures, by their keys; evenly spread if none."""
        return {}

    def at(self, steps: tuple[int, ...]) -> Self:
        """The same measurement at these steps alone.

        Raises:
            ConfigError: it cannot be told when to measure.
        """
        raise ConfigError(
            f"{self.key} cannot be told at which steps to measure; let {type(self).__name__} build "
            "on normlab.probes.schedule.ScheduledConfig, which has settings for them."
        )

    @abstractmethod
    def build(self, model: nn.Module, num_steps: int) -> Probe: ...


@dataclass(frozen=True, kw_only=True)
class TrackerConfig(Component):
    GROUP: ClassVar[str] = "tracker"

    @abstractmethod
    def start(self, results_dir: Path, factors: tuple[str, ...]) -> Mirror:
        """The mirror of runs in `results_dir`; `factors`: dotted keys of what the sweep varies.

        Raises:
            OSError: its process could not be started.
        """


@dataclass(frozen=True, kw_only=True)
class LauncherConfig(Component):
    GROUP: ClassVar[str] = "launcher"

    rerun_failed: bool = setting(False, "Try runs again that failed before.")

    def num_at_once(self) -> int:
        """How many runs it carries out at once on this machine."""
        return 1

    @abstractmethod
    def carry_out(
        self,
        runs: Sequence[PlannedRun],
        stop: Stop,
        display: Display,
        mirror: Mirror,
        *,
        alone: bool,
    ) -> list[Result]:
        """Carry out runs of which none starts from another, until all have ended or `stop` is
        requested.

        Args:
            alone: the run is the only one of its plan and may take all threads.
        """
