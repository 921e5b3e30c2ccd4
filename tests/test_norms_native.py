"""Batch, layer and group normalization against torch's own layers."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import layer_of
from torch import Tensor, nn

from normlab.config import NormConfig
from normlab.norms.batch import BatchConfig
from normlab.norms.group import GroupConfig, num_groups
from normlab.norms.layer import LayerConfig

IMAGES = (6, 8, 5, 4)
VECTORS = (6, 8)


def tensor(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64) * 3 + 2


def with_affine(ours: nn.Module, theirs: nn.Module) -> None:
    """Random gamma and beta in ours, the same in theirs."""
    with torch.no_grad():
        for seed, (mine, other) in enumerate(
            zip(ours.parameters(), theirs.parameters(), strict=True)
        ):
            mine.copy_(tensor(tuple(mine.shape), seed=10 + seed))
            other.copy_(mine)


def compare(ours: nn.Module, theirs: nn.Module, inputs: Tensor) -> None:
    """Outputs and gradients of inputs and parameters, 1e-12 in float64."""
    gradient = tensor(tuple(inputs.shape), seed=2)
    results = []
    for layer in (ours, theirs):
        leaf = inputs.clone().requires_grad_()
        outputs = layer(leaf)
        outputs.backward(gradient)
        results.append([outputs, leaf.grad, *(parameter.grad for parameter in layer.parameters())])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("config", "twin", "shape"),
    [
        (BatchConfig, lambda affine: nn.BatchNorm2d(8, affine=affine), IMAGES),
        (BatchConfig, lambda affine: nn.BatchNorm1d(8, affine=affine), VECTORS),
        (LayerConfig, lambda affine: nn.GroupNorm(1, 8, affine=affine), IMAGES),
        (LayerConfig, lambda affine: nn.LayerNorm(8, elementwise_affine=affine), VECTORS),
        (GroupConfig, lambda affine: nn.GroupNorm(8, 8, affine=affine), IMAGES),
    ],
)
def test_equals_torchs_layer(
    config: type[NormConfig],
    twin: Callable[[bool], nn.Module],
    shape: tuple[int, ...],
    affine: bool,
) -> None:
    ours = layer_of(config(affine=affine), 8).double()
    theirs = twin(affine).double()
    with_affine(ours, theirs)
    compare(ours, theirs, tensor(shape))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [IMAGES, VECTORS])
def test_group_equals_torchs_for_every_number_of_groups(
    groups: int, shape: tuple[int, ...]
) -> None:
    ours = GroupConfig(groups=groups).build(8).double()
    theirs = nn.GroupNorm(groups, 8).double()
    with_affine(ours, theirs)
    compare(ours, theirs, tensor(shape))


@pytest.mark.parametrize(("shape", "twin"), [(IMAGES, nn.BatchNorm2d), (VECTORS, nn.BatchNorm1d)])
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0])
def test_running_statistics_of_batch_norm(
    shape: tuple[int, ...],
    twin: type[nn.BatchNorm1d | nn.BatchNorm2d],
    momentum: float,
) -> None:
    ours = BatchConfig(momentum=momentum).build(8).double()
    theirs = twin(8, momentum=momentum).double()
    for step in range(3):
        ours(tensor(shape, seed=step))
        theirs(tensor(shape, seed=step))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-13, atol=0)
    compare(ours.eval(), theirs.eval(), tensor(shape, seed=9))


def test_variance_normalizes_biased_and_is_remembered_unbiased() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    layer = layer_of(BatchConfig(eps=1e-3, momentum=1.0), 1).double()
    outputs = layer(torch.tensor(values)[:, None]).detach().numpy()[:, 0]
    np.testing.assert_allclose(outputs, (values - 4) / np.sqrt(np.var(values) + 1e-3), rtol=1e-14)
    assert layer.running_mean.item() == pytest.approx(4.0)
    assert layer.running_var.item() == pytest.approx(np.var(values, ddof=1))


def test_reset_restores_everything() -> None:
    layer = layer_of(BatchConfig(), 8)
    fresh = copy.deepcopy(layer.state_dict())
    layer(tensor(IMAGES).float())
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 3.0)
    layer.reset_parameters()
    assert all(torch.equal(value, fresh[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("config", [BatchConfig(), LayerConfig(), GroupConfig(groups=2)])
@pytest.mark.parametrize("shape", [(3, 4, 2, 3), (3, 4)])
def test_gradients_numerically(config: NormConfig, shape: tuple[int, ...]) -> None:
    layer = layer_of(config, 4).double()
    with torch.no_grad():
        layer.weight.copy_(tensor((4,), seed=3))
    parameters = dict(layer.named_parameters())

    def outputs(inputs: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(parameters, values, strict=True))
        normalized: Tensor = torch.func.functional_call(layer, state, inputs)
        return normalized

    inputs = tensor(shape).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (inputs, *parameters.values()))


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (
            BatchConfig(),
            (1, 4),
            r"norm=batch takes a variance over a feature's values in the batch, which needs at "
            r"least 2 values; an input of shape \(1, 4\) has 1. Raise batch_size, or choose "
            r"norm=layer or norm=group.",
        ),
        (BatchConfig(), (1, 4, 1, 1), r"an input of shape \(1, 4, 1, 1\) has 1\. Raise batch_size"),
        (
            LayerConfig(),
            (8, 1),
            r"over the values of one sample, .* shape \(8, 1\) has 1. Give the layer more features",
        ),
        (
            GroupConfig(groups=4),
            (8, 4),
            r"over the values of one of 4 groups.*\(8, 4\) has 1. Set norm.groups to a smaller "
            "divisor of 4.",
        ),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_statistic_of_one_value_is_refused(
    config: NormConfig, shape: tuple[int, ...], message: str, device: str
) -> None:
    layer = layer_of(config, shape[1]).to(device)
    with pytest.raises(ValueError, match=message):
        layer(torch.empty(shape, device=device))


def test_one_image_is_enough_for_batch_norm_and_one_sample_in_evaluation() -> None:
    layer = BatchConfig().build(4)
    assert layer(torch.ones(1, 4, 2, 1)).shape == (1, 4, 2, 1)
    assert layer.eval()(torch.ones(1, 4)).shape == (1, 4)


def test_default_groups_are_the_largest_divisor_up_to_32() -> None:
    defaults = [num_groups(features, None) for features in (16, 64, 100, 31, 37, 512)]
    assert defaults == [16, 32, 25, 31, 1, 32]


def test_groups_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match=r"norm\.groups must divide") as error:
        GroupConfig(groups=5).build(12)
    assert str(error.value) == (
        "norm.groups must divide the channels of every layer; got 5 groups for a layer of 12, "
        "whose divisors are 1, 2, 3, 4, 6, 12. Choose one of these, or norm.groups=null for the "
        "largest up to 32."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0.0}, r"norm.eps must be greater than 0; got 0.0."),
        ({"eps": float("nan")}, r"norm.eps must be a finite number; got nan."),
        ({"momentum": 0.0}, r"must be greater than 0 and at most 1; got 0.0."),
        ({"momentum": 1.1}, r"must be greater than 0 and at most 1; got 1.1."),
    ],
)
def test_batch_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchConfig(**settings)


def test_groups_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"norm.groups must be 1 or greater; got 0."):
        GroupConfig(groups=0)


def test_bfloat16_inputs_keep_float32_statistics() -> None:
    inputs = tensor((512, 8)).float() + 50
    layer = BatchConfig(momentum=1.0).build(8)
    assert layer(inputs.bfloat16()).dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32
    expected = inputs.bfloat16().double().mean(0)
    torch.testing.assert_close(layer.running_mean.double(), expected, rtol=1e-5, atol=0)
