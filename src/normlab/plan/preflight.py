"""Checks that refuse a run which could not be carried out, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from normlab.config import InitConfig, ModelConfig, NormConfig, ProbeConfig, RunConfig, choices
from normlab.config.code import place_of, told
from normlab.config.errors import ConfigError
from normlab.data.batches import steps_per_epoch
from normlab.metrics import METRICS
from normlab.models.kit import Kit
from normlab.models.network import build_network
from normlab.models.shapes import input_shapes
from normlab.norms.base import NormLayer
from normlab.objectives import data_loss
from normlab.plan.capacity import (
    Size,
    refuse_beyond_memory,
    refuse_data_beyond_memory,
    refuse_endless,
)
from normlab.training.device import resolve_device
from normlab.words import did_you_mean


def check_run(config: RunConfig) -> list[str]:
    """Refuse a run that could not be carried out; of others, what a reader would not expect.

    The network is built on the meta device, where tensors have shapes and no content, and the
    shape of one training batch is followed through it: layers refuse what they cannot normalize,
    pool or connect.

    Raises:
        ConfigError: with the invariant, the value and the way out.
    """
    missing = config.data.missing()
    if missing is not None:
        raise ConfigError(missing)
    try:
        _refuse_unwritable(config.results_dir)
        resolve_device(config.device)
        data_loss(config.data.TASK, config.regularizer.label_smoothing)
        num_samples = config.data.num_train_samples
        steps_per_epoch(num_samples, config.batch_size)
        num_steps = config.num_steps(num_samples)
        refuse_endless(config, num_steps)
        shape = config.sample_shape()
        _refuse_wrong_samples(config.model, shape, config)
        refuse_data_beyond_memory(config)
        for probe in config.probe:
            refuse_unregistered(probe)
        size, remarks = _check_network(
            config.model,
            config.norm,
            config.init,
            config.dropout,
            config.noise.activation,
            shape,
            config.data.num_outputs,
            config.batch_size,
            config.probe,
            num_steps,
        )
        refuse_beyond_memory(config, size)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return [*config.model.remarks(config.init), *config.schedule.remarks(num_steps), *remarks]


def _refuse_unwritable(results_dir: str) -> None:
    if not results_dir.strip():
        raise ConfigError(
            f"results_dir must name a folder; got {results_dir!r}. Give results_dir=results, or "
            "results_dir=. for the folder you stand in."
        )
    for name in ("", "runs", "sweeps"):
        _refuse_unwritable_folder(results_dir, Path(results_dir, name).absolute())


def _refuse_unwritable_folder(results_dir: str, folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK):
        what = "write-protected" if there.is_dir() else "not a folder"
        raise ConfigError(
            f"results_dir={results_dir} must be a folder that can be written to; {there} is {what}."
            " Give another one."
        )


def _refuse_wrong_samples(model: ModelConfig, shape: Sequence[int], config: RunConfig) -> None:
    kind = "image" if len(shape) == 3 else "vector"
    if model.SAMPLE not in ("any", kind):
        raise ConfigError(
            f"model={model.NAME} takes {model.SAMPLE}s; data={config.data.NAME} has {kind}s of "
            f"shape {tuple(shape)}. Choose other data, or a model that takes {kind}s: "
            f"{', '.join(_models_for(kind))}."
        )


def refuse_unregistered(probe: ProbeConfig) -> None:
    """Whatever a probe declares must be a metric, or it would be refused once it was measured.

    Raises:
        ConfigError: one is not, with the way out.
    """
    for name in probe.metrics:
        if name not in METRICS:
            raise ConfigError(
                f"probe={probe.NAME} records {name!r}, and no metric is called that; register it "
                f"beside the probe, in {place_of(type(probe))}: metrics.register(metrics.Metric("
                f"name={name!r}, label=…, doc=…)), with per_layer=True for one number a layer."
                + did_you_mean(name, METRICS)
            )


def _models_for(kind: str) -> list[str]:
    return [
        name
        for name, model in choices("model").items()
        if issubclass(model, ModelConfig) and model.SAMPLE in ("any", kind)
    ]


@lru_cache(maxsize=256)
def _check_network(
    model_config: ModelConfig,
    norm: NormConfig,
    init: InitConfig,
    dropout: float,
    noise: float,
    shape: tuple[int, ...],
    num_outputs: int,
    batch_size: int,
    probes: tuple[ProbeConfig, ...],
    num_steps: int,
) -> tuple[Size, list[str]]:
    try:
        with torch.device("meta"):
            kit = Kit(norm=norm, dropout=dropout, noise=noise)
            model = build_network(model_config, kit, shape, num_outputs)
        entered = input_shapes(model.train(), torch.Size((batch_size, *shape)))
    except ValueError:
        raise
    except Exception as error:  # in a component of one's own, or of numbers beyond 64 bits
        raise ConfigError(
            f"model={model_config.NAME} with norm={norm.NAME} cannot be built for samples of shape "
            f"{shape}: {told(error)}."
        ) from error
    init.check(model)
    for probe in probes:
        probe.check(model)
        probe.build(model, num_steps)
    remarks = [part.remark(shape) for part, shape in entered if isinstance(part, NormLayer)]
    return Size.of(model, entered), list(dict.fromkeys(filter(None, remarks)))
