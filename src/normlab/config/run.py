"""The typed configuration of one run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from normlab.config import check
from normlab.config.component import (
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
from normlab.config.settings import Settings, neutral, setting
from normlab.config.start import Start

LARGEST_SEED = 2**63 - 1

Precision = Literal["float32", "bfloat16", "float64"]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig(Settings):
    """Penalties on the weights, and softened targets."""

    KEY: ClassVar[str] = "regularizer"

    l1: float = neutral(0.0, "alpha in alpha * sum |w|.", at_least=0)
    l2: float = neutral(0.0, "lambda in 1/2 * lambda * sum w^2.", at_least=0)
    include_biases_and_norms: bool = neutral(
        False, "Penalize every parameter, not only the weights of linear and convolutional layers."
    )
    label_smoothing: float = neutral(
        0.0, "Share of the uniform distribution mixed into the targets.", at_least=0, below=1
    )

    def canonical(self) -> RegularizerConfig:
        """The same with what a penalty bears on at its default where there is no penalty."""
        if self.l1 or self.l2:
            return self
        return dataclasses.replace(self, include_biases_and_norms=False)


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(Settings):
    """Gaussian noise of mean 0, drawn anew for each element at each step, in training only."""

    KEY: ClassVar[str] = "noise"

    input: float = neutral(
        0.0,
        "Standard deviation of the noise added to a batch's inputs, as standardized.",
        at_least=0,
    )
    activation: float = neutral(
        0.0,
        "Standard deviation of the noise added behind every hidden activation, before dropout.",
        at_least=0,
    )


@dataclass(frozen=True, kw_only=True)
class EvalConfig(Settings):
    """When accuracy and loss are measured, and how often the step's own loss is recorded."""

    KEY: ClassVar[str] = "eval"

    every: int | None = setting(
        None, "Steps between evaluations; None: 20 evaluations a run.", at_least=1
    )
    record_every: int | None = setting(
        None, "Steps between recorded training losses; None: 500 a run.", at_least=1
    )
    limit: int | None = neutral(
        None,
        "Evaluate on this many samples of each split, the same ones throughout a run; None: all.",
        at_least=1,
    )
    batches: Literal["shuffled", "one_class"] = neutral(
        "shuffled",
        "one_class: each evaluation batch holds one class, which statistics of the batch tell of.",
    )
    splits: tuple[Split, ...] = neutral(
        SPLITS,
        "What is evaluated as training goes on, of what the data has; the end has all of it.",
    )
    batch_size: int | None = neutral(
        None,
        "Samples evaluated at once, which moves nothing but the rounding of losses; null: the "
        "batch of training.",
        at_least=1,
    )
    precise: Literal["as_trained", "as_evaluated"] | None = neutral(
        None,
        "Evaluate a second time by precise population statistics, as precise_accuracy: taken with "
        "noise and dropout as in training, or without as in evaluation; null: not.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.splits or len(set(self.splits)) < len(self.splits):
            raise ValueError(
                f"eval.splits names each of {', '.join(SPLITS)} at most once, and one at least; "
                f"got [{','.join(self.splits)}]."
            )


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig(Settings):
    KEY: ClassVar[str] = "checkpoint"

    every: int | None = setting(
        None,
        "Steps between checkpoints; None: when stopped by a signal, and at least once a minute.",
        at_least=1,
    )
    keep_final: bool = setting(False, "Keep the checkpoint of a finished run.")
    keep: tuple[int, ...] = neutral(
        (),
        "Steps before whose update the network is kept for good, for runs that start from "
        "there; the run's length stands for its end.",
        at_least=0,
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    """Everything a run depends on.

    Exactly one of `steps` and `epochs` says how long it trains. What counts towards a run's
    identity, and what does not (device, threads, paths, tracker), is listed in
    `normlab.config.resolve`.
    """

    model: ModelConfig
    norm: NormConfig
    init: InitConfig
    data: DataConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    probe: tuple[ProbeConfig, ...] = ()
    probe_budget: float | None = neutral(
        None,
        "Share of the training time that each probe may take, written `probe.budget`; a probe "
        "over it takes every other measurement, every fourth, and so on, which depends on "
        "the machine's speed. None: no bound.",
        above=0,
        key="probe.budget",
    )
    tracker: TrackerConfig
    launcher: LauncherConfig
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig, metadata={"neutral": NoiseConfig()})
    eval: EvalConfig = field(default_factory=EvalConfig)
    checkpoint: CheckpointConfig = field(
        default_factory=CheckpointConfig, metadata={"neutral": CheckpointConfig()}
    )
    start_from: str | None = neutral(
        None,
        "RUN@STEP: begin with the weights and statistics that a recorded run of the same seed "
        "had before update STEP, or after its last (`end`). Optimizer, data order and step "
        "count begin anew. Resolved, it names the run's cell: CELL@STEP.",
    )
    inserted_norms: Literal["identity", "reset"] = neutral(
        "identity",
        "What normalizations that `start_from` does not have begin as: maps that leave the "
        "network's output in evaluation as it is, or fresh layers.",
    )
    dropout: float = neutral(
        0.0,
        "Share of units dropped in training, at the places the model names.",
        at_least=0,
        below=1,
    )
    inverted_dropout: bool = neutral(
        True,
        "true: what is kept is scaled up in training; false: everything is scaled down in "
        "evaluation, so that training runs at another scale.",
    )
    batch_size: int = setting(doc="Samples in the batch of each step.", at_least=1)
    steps: int | None = setting(None, "Length in updates.")
    epochs: float | None = setting(
        None, "Length in passes over the training set; steps is then None.", above=0
    )
    seed: int = setting(
        0, "Of every random draw: initial weights, order of the data, masks, noise.", at_least=0
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.")
    precision: Precision = setting(
        "float32", "float32, float64, or bfloat16 with parameters and statistics in float32."
    )
    num_threads: int | None = setting(
        None, "CPU threads; None: all cores for one run, one for each run of a sweep.", at_least=1
    )
    results_dir: str = setting("results", "The folder that runs are recorded in.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed > LARGEST_SEED:
            raise ValueError(
                f"seed must be at most {LARGEST_SEED}, which 64 bits of a table hold; got "
                f"{self.seed}."
            )
        if self.start_from is not None:
            Start.parse(self.start_from)
        elif self.norm.needs_trained_statistics:
            raise ValueError(
                "norm.freeze_after=0 trains by running statistics that no step has taken; it needs "
                "start_from=RUN@STEP. Otherwise give norm.freeze_after=1 or more, or null."
            )
        if self.steps is not None and self.epochs is not None:
            raise ValueError(
                f"a run's length is either steps or epochs; got steps={self.steps} and "
                f"epochs={self.epochs}. Keep one and write the other as null."
            )
        if self.steps is None and self.epochs is None:
            raise ValueError("a run needs a length: give steps=N or epochs=N.")
        if self.steps is not None:
            check.at_least("steps", self.steps, 1 if self.start_from is None else 0)
            self._refuse_steps_without_updates()
        if self.eval.batches == "one_class" and self.data.TASK == "regression":
            raise ValueError(
                f"eval.batches=one_class needs classes; data={self.data.NAME} is a regression. "
                "Give eval.batches=shuffled."
            )
        if not set(self.eval.splits) & set(self.splits):
            raise ValueError(
                "eval.splits=[val] evaluates what data.validation_fraction sets aside, and that is "
                "0. Set data.validation_fraction, or name another split."
            )
        if self.eval.batch_size is not None and self.norm.evaluates_by_batch:
            raise ValueError(
                "norm.population=batch evaluates by the statistics of each evaluation batch, which "
                "is as large as those of training; got "
                f"eval.batch_size={self.eval.batch_size}. Give eval.batch_size=null."
            )

    def _refuse_steps_without_updates(self) -> None:
        if self.steps == 0 and self.probe:
            raise ValueError(
                "probes watch updates, and a run of steps=0 is one evaluation; got probe="
                f"[{','.join(probe.NAME for probe in self.probe)}]. Give steps=1, or probe=[]."
            )

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the data has."""
        return SPLITS if self.data.validation_fraction else ("train", "test")

    def num_steps(self, num_train_samples: int) -> int:
        """Length in steps; an epoch is `num_train_samples // batch_size` steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, math.floor(self.epochs * (num_train_samples // self.batch_size)))

    def image_size(self) -> int | None:
        """The side in pixels that `data.resize` comes to with this model; None: as stored."""
        native = self.data.native_shape
        if len(native) != 3:
            return None
        wanted = self.model.INPUT_SIZE if self.data.resize == "auto" else self.data.resize
        is_stored_size = wanted == native[-1] == native[-2] and not self.data.STRETCHED_WHEN_READ
        return None if is_stored_size else wanted

    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample as the model sees it."""
        native = self.data.native_shape
        size = self.image_size()
        return native if size is None else (native[0], size, size)


@dataclass(frozen=True, kw_only=True)
class ResolvedEvalConfig(EvalConfig):
    """Both intervals worked out."""

    every: int = field()
    record_every: int = field()


@dataclass(frozen=True, kw_only=True)
class ResolvedRun(RunConfig):
    """A run with every default worked out: what is carried out, stored and identified.

    `normlab.config.resolve.resolve` makes it of a configuration, and
    `normlab.config.convert.resolved_run` of what was stored with a run.
    """

    eval: ResolvedEvalConfig
    steps: int = field()
    epochs: None = None
