"""What can be known to fail before anything is written or started."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch

from normlab.config import ModelConfig, NormConfig, ProbeConfig, RunConfig, choices
from normlab.config.errors import ConfigError
from normlab.data.batches import steps_per_epoch
from normlab.models.chain import Chain
from normlab.models.dropout import Dropout
from normlab.models.kit import Kit
from normlab.objectives import data_loss
from normlab.randomness import Clock
from normlab.training.device import resolve_device


def check_run(config: RunConfig, *, alone: bool = False) -> None:
    """Refuse a run that could not be carried out.

    The network is built on the meta device, where tensors have shapes and no content, and takes
    one batch in training mode: layers refuse what they cannot normalize, pool or connect.

    Args:
        alone: it is the only run to be checked. On the CPU its first batch then costs less than
            the meta device's first use, which imports torch's compiler (a second).

    Raises:
        ConfigError: with the invariant, the value and the way out.
    """
    missing = config.data.missing()
    if missing is not None:
        raise ConfigError(missing)
    try:
        device = resolve_device(config.device)
        data_loss(config.data.TASK, config.regularizer.label_smoothing)
        steps_per_epoch(config.data.num_train_samples, config.batch_size)
        shape = config.sample_shape()
        _refuse_wrong_samples(config.model, shape, config)
        _check_network(
            config.model,
            config.norm,
            config.dropout,
            shape,
            config.data.num_outputs,
            config.batch_size,
            config.probe,
            config.num_steps(config.data.num_train_samples),
            "cpu" if alone and device.type == "cpu" else "meta",
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _refuse_wrong_samples(model: ModelConfig, shape: Sequence[int], config: RunConfig) -> None:
    kind = "image" if len(shape) == 3 else "vector"
    if model.SAMPLE not in ("any", kind):
        raise ConfigError(
            f"model={model.NAME} takes {model.SAMPLE}s; data={config.data.NAME} has {kind}s of "
            f"shape {tuple(shape)}. Choose other data, or a model that takes {kind}s: "
            f"{', '.join(_models_for(kind))}."
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
    dropout: float,
    shape: tuple[int, ...],
    num_outputs: int,
    batch_size: int,
    probes: tuple[ProbeConfig, ...],
    num_steps: int,
    device: Literal["cpu", "meta"],
) -> None:
    with torch.device(device):
        kit = Kit(norm=norm, dropout=dropout, seed=0, clock=Clock())
        model: Chain = model_config.build(kit, shape, num_outputs)
        model.train()
        with torch.no_grad():
            model(torch.zeros(batch_size, *shape))
    if dropout > 0 and not any(isinstance(module, Dropout) for module in model.modules()):
        raise ValueError(
            f"this model has no place to drop units at; got dropout={dropout}. Set dropout=0."
        )
    for probe in probes:
        probe.check(model)
        probe.build(model, num_steps)
