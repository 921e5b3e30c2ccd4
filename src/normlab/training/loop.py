"""The training loop: batch, step, the probes that are due, the recorder.

Row `step=t` speaks of the parameters before update t: the loss of batch t, the accuracy
evaluated there, and the measurements of update t. The last row, at `num_steps`, is evaluation
only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from normlab.config import ResolvedRun
from normlab.config.run import SPLITS, Split
from normlab.data import Batch, evaluation_batches
from normlab.data.dataset import Dataset
from normlab.measures.sparsity import sparsity, zeros
from normlab.metrics import full_name, price_name
from normlab.metrics.layered import each
from normlab.models.chain import weight_layers
from normlab.norms.population import PopulationNorm, precise_statistics
from normlab.objectives import accuracy
from normlab.probes.base import Measurement, Probe, StepView, Surroundings, refuse_undeclared
from normlab.records.recorder import Recorder
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import arithmetic
from normlab.training.evaluation import evaluate, population_inputs
from normlab.training.optimizers import set_learning_rate
from normlab.training.outcome import DivergenceWatch
from normlab.training.price import PeakMemory, keep_to_budget
from normlab.training.setup import Setup, penalty_on, training_batches

CHECKPOINT_SECONDS = 60.0

Scores = dict[Split, dict[str, float]]
"""Loss and accuracy by split."""


class Interrupted(Exception):  # noqa: N818 (a request granted, not a fault)
    """Raised after a checkpoint was kept because a stop was asked for."""

    def __init__(self, step: int) -> None:
        super().__init__(f"interrupted before step {step}")
        self.step = step


class Observer(Protocol):
    """Is told how the loop goes, takes its checkpoints, and may ask it to stop."""

    def stop_requested(self) -> bool: ...

    def progress(self, step: int, num_steps: int, loss: float) -> None: ...

    def checkpoint(self, checkpoint: Checkpoint) -> None: ...

    def keep(self, checkpoint: Checkpoint) -> None: ...


class NullObserver:
    """An observer that never stops a run, and keeps nothing of it."""

    def stop_requested(self) -> bool:
        return False

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        pass

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        pass

    def keep(self, checkpoint: Checkpoint) -> None:
        pass


@dataclass
class Timing:
    """Seconds of this process's part of the run, apart by what they were spent on."""

    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    probe_seconds: dict[str, float] = field(default_factory=dict)
    probe_peak_memory: dict[str, float] = field(default_factory=dict)
    """MiB, over all measurements; a probe is absent where the system does not tell."""
    num_steps: int = 0

    def prices(self) -> dict[str, float]:
        """What the probes took, by the names it is recorded under."""
        seconds = {price_name("seconds", probe): s for probe, s in self.probe_seconds.items()}
        peaks = self.probe_peak_memory.items()
        return seconds | {price_name("peak_memory", probe): peak for probe, peak in peaks}

    def samples_per_second(self, batch_size: int) -> float | None:
        if self.num_steps == 0 or self.training_seconds <= 0:
            return None
        return self.num_steps * batch_size / self.training_seconds


class Loop:
    """Trains one run from a step to its end."""

    def __init__(
        self,
        config: ResolvedRun,
        dataset: Dataset,
        setup: Setup,
        recorder: Recorder,
        observer: Observer,
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._setup = setup
        self._recorder = recorder
        self._observer = observer
        self._num_steps = config.steps
        self._eval_every = config.eval.every
        self._record_every = config.eval.record_every
        self._kept_steps = frozenset(config.checkpoint.keep)
        self._device = next(setup.model.parameters()).device
        self._arithmetic = arithmetic(config.precision, self._device)
        self._surroundings = Surroundings(
            dataset=dataset,
            seed=config.seed,
            batch_size=config.batch_size,
            batches=partial(training_batches, config, dataset),
        )
        self._probe_configs = dict(
            zip((probe.name for probe in setup.probes), config.probe, strict=True)
        )
        self._watch = DivergenceWatch()
        self._memory = PeakMemory(self._device)
        self._last_checkpoint = time.monotonic()
        self._started = self._now()
        self.timing = Timing()

    def run(self, first_step: int = 0) -> int | None:
        """Train to the end, or to the first step whose loss is not finite, which is returned.

        Raises:
            Interrupted: when the observer asked to stop; a checkpoint has been handed to it.
        """
        self._last_checkpoint = time.monotonic()
        self._started = self._now()
        try:
            return self._run(first_step)
        finally:
            self.timing.training_seconds = self._training_seconds()

    def _run(self, first_step: int) -> int | None:
        for step in range(first_step, self._num_steps):
            stopping = self._observer.stop_requested()
            keeping = stopping or self._checkpoint_due(step, first_step)
            evaluating = step % self._eval_every == 0
            if (keeping or evaluating or step in self._kept_steps) and (
                diverged_at := self._divergence()
            ) is not None:
                return diverged_at
            if keeping:
                self._keep_checkpoint(step)
            if stopping:
                raise Interrupted(step)
            self._keep_network(step)
            self._setup.clock.step = step
            if evaluating:
                self._evaluate(step, self._config.eval.splits)
            diverged_at = self.step(step)
            if diverged_at is not None:
                return diverged_at
        diverged_at = self._divergence()
        if diverged_at is not None:
            return diverged_at
        loss = self._evaluate(self._num_steps, SPLITS)
        if not math.isfinite(loss):  # the last update went astray, and no batch came after it
            self._recorder.record(self._num_steps, {"train/loss": loss})
            return self._num_steps
        self._keep_network(self._num_steps)
        return None

    def step(self, step: int) -> int | None:
        """One update with the measurements that are due; the step of a divergence, if one shows."""
        setup = self._setup
        batch = setup.batches.at(step)
        learning_rate = self._set_learning_rate(step)
        self._keep_to_budget(step)
        measuring = [probe for probe in setup.probes if probe.due(step)]
        running = [self._begin(probe, step, batch, learning_rate) for probe in measuring]

        setup.optimizer.zero_grad()
        with self._arithmetic:
            outputs = setup.model(batch.inputs)
            loss = setup.loss(outputs, batch.targets)
        loss.backward()
        for probe, measurement in zip(measuring, running, strict=True):
            self._advance(probe, measurement)

        recording = step % self._record_every == 0 or step == self._num_steps - 1
        penalty = None
        if setup.penalty.active:
            penalty = setup.penalty.value() if recording else None
            setup.penalty.add_gradient_()
        setup.optimizer.step()
        self.timing.num_steps += 1

        self._watch.add(step, loss.detach())
        if recording or measuring:
            diverged_at = self._divergence()
            if diverged_at is not None:
                return diverged_at
        for probe, measurement in zip(measuring, running, strict=True):
            self._finish(probe, measurement, step)
        if recording:
            self._record(step, loss, outputs, batch, learning_rate, penalty)
        return None

    def _keep_to_budget(self, step: int) -> None:
        """Thin the probes that are over budget; the record says when, and by how much."""
        share = self._config.probe_budget
        due = [probe for probe in self._setup.probes if probe.due(step)]
        if share is None or not due:
            return
        training_seconds = self._training_seconds()
        for probe in due:
            seconds = self.timing.probe_seconds.get(probe.name, 0.0)
            if keep_to_budget(
                probe, step, share, seconds=seconds, training_seconds=training_seconds
            ):
                self._recorder.record(step, {price_name("thinning", probe.name): probe.thinning})

    def _set_learning_rate(self, step: int) -> float:
        config = self._config
        learning_rate = config.optimizer.lr * config.schedule.factor(
            min(step, self._num_steps - 1), self._num_steps
        )
        set_learning_rate(self._setup.optimizer, learning_rate)
        return learning_rate

    def _record(
        self,
        step: int,
        loss: Tensor,
        outputs: Tensor,
        batch: Batch,
        learning_rate: float,
        penalty: Tensor | None,
    ) -> None:
        loss_value = loss.item()
        values = {"train/loss": loss_value, "optimizer/lr": learning_rate}
        if penalty is not None:
            values["train/penalty"] = penalty.item()
        if self._dataset.task == "classification":
            values["train/batch_accuracy"] = accuracy(outputs.detach(), batch.targets).item()
        self._recorder.record(step, values)
        self._observer.progress(step, self._num_steps, loss_value)

    def _divergence(self) -> int | None:
        """The first step, of those not yet looked at, whose loss is not finite; it is recorded."""
        found = self._watch.first_divergence()
        if found is None:
            return None
        step, loss = found
        self._recorder.record(step, {"train/loss": loss})
        return step

    def _evaluate(self, step: int, splits: Sequence[Split]) -> float:
        """Record the scores of splits that the data has; the loss over the first of them."""
        started = self._now()
        with self._arithmetic, precise_statistics(self._setup.model, self._population()):
            scores = self._scores_of(splits)
        loss = next(iter(scores.values()))["loss"]
        values = _named(scores)
        if self._config.eval.precise is not None:
            values |= _named(self._precise_scores(scores), "precise_")
        weights = [layer.weight for _, layer in weight_layers(self._setup.model)]
        values |= {"weights/sparsity": sparsity(weights), "weights/zeros": zeros(weights)}
        self._recorder.record(step, values)
        self.timing.evaluation_seconds += self._now() - started
        return loss

    def _precise_scores(self, scores: Scores) -> Scores:
        """The same splits by precise population statistics; the scores given where the network
        has no others."""
        model = self._setup.model
        if not any(isinstance(module, PopulationNorm) for module in model.modules()):
            return scores
        quiet = self._config.eval.precise == "as_evaluated"
        population = self._population()
        with (
            self._arithmetic,
            precise_statistics(model, population, everywhere=True, quiet=quiet),
        ):
            return self._scores_of(list(scores))

    def _population(self) -> Iterator[Tensor]:
        return population_inputs(self._setup.population, self._config.eval.limit)

    def _scores_of(self, splits: Sequence[Split]) -> Scores:
        return {split: self._scores(split) for split in self._config.splits if split in splits}

    def _scores(self, split: Split) -> dict[str, float]:
        evaluation = self._config.eval
        batches = evaluation_batches(
            self._dataset,
            split,
            evaluation.batch_size or self._config.batch_size,
            seed=self._config.seed,
            limit=evaluation.limit,
            composition=evaluation.batches,
            in_stored_order=evaluation.batch_size is not None,
        )
        return evaluate(
            self._setup.model,
            batches,
            self._setup.loss,
            classification=self._dataset.task == "classification",
        )

    def _checkpoint_due(self, step: int, first_step: int) -> bool:
        every = self._config.checkpoint.every
        if every is None:
            return time.monotonic() - self._last_checkpoint >= CHECKPOINT_SECONDS
        return step % every == 0 and step > first_step

    def _keep_checkpoint(self, step: int) -> None:
        setup = self._setup
        self._observer.checkpoint(Checkpoint.of(step, setup.model, setup.optimizer, setup.probes))
        self._last_checkpoint = time.monotonic()

    def _keep_network(self, step: int) -> None:
        if step in self._kept_steps:
            self._observer.keep(Checkpoint(step, self._setup.model.state_dict(), optimizer={}))

    def _begin(
        self, probe: Probe, step: int, batch: Batch, learning_rate: float
    ) -> Generator[None, None, Measurement]:
        """Start a probe's measurement: what it does before the step's forward."""
        view = StepView(
            step=step,
            num_steps=self._num_steps,
            model=self._setup.model,
            inputs=batch.inputs,
            targets=batch.targets,
            loss=self._setup.loss,
            optimizer=self._setup.optimizer,
            learning_rate=learning_rate,
            surroundings=self._surroundings,
            add_penalty=self._add_penalty,
        )
        measurement = probe.measure(view)
        self._advance(probe, measurement)
        return measurement

    def _advance(
        self, probe: Probe, measurement: Generator[None, None, Measurement]
    ) -> Measurement | None:
        """Let a measurement run to its next pause; its result once it has none left."""
        started = self._now()
        self._memory.begin()
        try:
            with self._arithmetic:
                next(measurement)
        except StopIteration as end:
            result: Measurement = end.value
            return result
        finally:
            peak, peaks = self._memory.end(), self.timing.probe_peak_memory
            if peak is not None:
                peaks[probe.name] = max(peak, peaks.get(probe.name, 0.0))
            seconds = self.timing.probe_seconds
            seconds[probe.name] = seconds.get(probe.name, 0.0) + self._now() - started
        return None

    def _finish(
        self, probe: Probe, measurement: Generator[None, None, Measurement], step: int
    ) -> None:
        result = self._advance(probe, measurement)
        assert result is not None, f"probe {probe.name} pauses more than twice"
        refuse_undeclared(self._probe_configs[probe.name], result)
        if result.values:
            self._recorder.record(step, result.values)
        for metric, layer, array in each(result.arrays):
            self._recorder.record_array(step, full_name(metric, layer), array)

    def _add_penalty(self, model: nn.Module) -> None:
        """To the gradients of a copy of the model."""
        penalty_on(self._config, model).add_gradient_()

    def _training_seconds(self) -> float:
        return self._now() - self._started - self._outside_seconds()

    def _outside_seconds(self) -> float:
        return self.timing.evaluation_seconds + sum(self.timing.probe_seconds.values())

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def _named(scores: Scores, prefix: str = "") -> dict[str, float]:
    """Scores as they are recorded; train/loss is none, since that is the step's own batch's."""
    return {
        f"{split}/{prefix}{name}": value
        for split, own in scores.items()
        for name, value in own.items()
        if (split, name) != ("train", "loss")
    }
