"""A forward in parts: the same numbers, and cut where the layers are."""

from __future__ import annotations

import pytest
import torch
from support.runs import prepared
from torch import nn

from normlab.measures import Replay
from normlab.models.chain import weight_layers
from normlab.models.residual import ResidualBlock

NETWORKS = {
    "post": ("norm=batch",),
    "after": ("norm=batch", "norm.position=after"),
    "pre": ("norm=batch", "model.preactivation=true"),
    "skipinit": ("norm=none", "model.residual=skipinit"),
    "fixup": ("norm=none", "model.residual=fixup"),
}


def network(*words: str) -> tuple[nn.Module, torch.Tensor]:
    _, _, setup = prepared("model=resnet20", "data.resize=8", "batch_size=4", "steps=1", *words)
    with torch.no_grad():
        for parameter in setup.model.parameters():
            parameter.add_(0.01 * torch.arange(parameter.numel()).view_as(parameter).sin())
    return setup.model, setup.batches.at(0).inputs


@pytest.mark.parametrize("words", NETWORKS.values(), ids=NETWORKS)
def test_the_parts_of_a_block_are_its_forward(words: tuple[str, ...]) -> None:
    model, inputs = network(*words)
    replay = Replay(model)
    replay.capture(model)
    assert torch.equal(replay.outputs(inputs), model(inputs))


@pytest.mark.parametrize("words", NETWORKS.values(), ids=NETWORKS)
def test_each_layer_of_a_block_is_a_place_to_resume(words: tuple[str, ...]) -> None:
    model, inputs = network(*words)
    replay = Replay(model)
    replay.capture(model)
    whole = replay.outputs(inputs)
    stages = [replay.stage_of(f"{name}.weight") for name, _ in weight_layers(model)]
    assert stages == sorted(set(stages))
    position = replay.start(inputs)
    for stage in stages:
        position = replay.advance(position, stage)
        with torch.no_grad():
            assert torch.equal(replay._run(position, len(replay._stages)), whole)
    blocks = [name for name, module in model.named_modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 9


def test_a_block_that_is_watched_runs_whole() -> None:
    model, inputs = network("norm=batch")
    seen = []
    block = model.get_submodule("block2")
    block.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    replay = Replay(model)
    replay.capture(model)
    assert replay.stage_of("block2.conv1.weight") == replay.stage_of("block2.conv2.weight")
    replay.outputs(inputs)
    assert len(seen) == 1
