"""Networks that start from trained ones, with the same normalization or with one inserted."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from support.parts import Parts
from torch import Tensor

from normlab.config import ModelConfig, NormConfig
from normlab.init.gaussian import HeConfig
from normlab.models.inherit import inherit
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.network import build_network
from normlab.models.resnet import ResNet20Config
from normlab.models.surgery import insert_batch_norm
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.group import GroupConfig
from normlab.norms.layer import LayerConfig
from normlab.norms.lp import LpConfig
from normlab.norms.noise import BatchNoisyConfig
from normlab.norms.none import NoNormConfig
from normlab.norms.renorm import RenormConfig

MODELS = {
    "mlp": MLPConfig(widths=(12, 9)),
    "vgg11": VGG11Config(width=0.0625),
    "resnet20": ResNet20Config(),
}
Position = Literal["before", "after"]


def images(count: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 32, 32, generator=source, dtype=torch.float64) * 2 + 1


def fresh(model: ModelConfig, norm: NormConfig, seed: int = 0, num_outputs: int = 10) -> Parts:
    network = build_network(model, Kit(norm=norm, dropout=0.2), (3, 32, 32), num_outputs)
    HeConfig().apply(network, None, seed)
    return network.double()


def trained(
    model: ModelConfig, norm: NormConfig | None = None, dead: str | None = None
) -> dict[str, Tensor]:
    """A parent's state, every tensor away from its start; `dead`: a layer whose unit 0 is 0."""
    network = fresh(model, norm or NoNormConfig(), seed=1)
    source = torch.Generator().manual_seed(2)
    state: dict[str, Tensor] = network.state_dict()
    for name, values in state.items():
        if values.dim() < 2:
            values.copy_(torch.rand(values.shape, generator=source, dtype=values.dtype) + 0.5)
        elif name == f"{dead}.weight":
            values[0] = 0
    return state


def parent_of(
    model: ModelConfig, state: dict[str, Tensor], norm: NormConfig | None = None
) -> Parts:
    network = fresh(model, norm or NoNormConfig())
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("name", MODELS)
def test_inserted_as_the_identity(name: str, position: Position) -> None:
    model = MODELS[name]
    state = trained(model)
    child = fresh(model, BatchConfig(position=position)).train()
    inherit(child, state, [images(8), images(5, seed=1)], inserted="identity")
    assert child.training
    new = images(6, seed=2) * 1.5
    before = parent_of(model, state)(new)
    after = child.eval()(new)
    assert (after - before).abs().max() < 1e-10 * before.abs().max()
    assert (child.train()(new) - before).abs().max() > 1e-2 * before.abs().max()


@pytest.mark.parametrize(
    "norm", [GhostConfig(ghost_size=2), RenormConfig(), BatchNoisyConfig()], ids=lambda n: n.NAME
)
def test_relatives_of_batch_normalization(norm: NormConfig) -> None:
    model = MODELS["mlp"]
    state = trained(model)
    child = fresh(model, norm)
    inherit(child, state, [images(8)], inserted="identity")
    new = images(6, seed=2)
    assert (child.eval()(new) - parent_of(model, state)(new)).abs().max() < 1e-10


def test_statistics_are_those_of_the_inputs_over_all_batches() -> None:
    model = MODELS["mlp"]
    state = trained(model)
    batches = [images(8), images(5, seed=1)]
    child = fresh(model, BatchConfig(eps=1e-3))
    inherit(child, state, batches, inserted="identity")
    parent = parent_of(model, state)
    with torch.no_grad():
        hidden = torch.relu(parent.linear1(torch.cat(batches).flatten(1)))
        inputs = (hidden @ parent.linear2.weight.T).numpy()  # the child's layer has no bias
    norm, bias = child.norm2, state["linear2.bias"].numpy()
    exact: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(norm.running_mean, inputs.mean(0), **exact)
    np.testing.assert_allclose(norm.running_var, inputs.var(0), **exact)
    np.testing.assert_allclose(norm.weight.detach(), np.sqrt(inputs.var(0) + 1e-3), **exact)
    np.testing.assert_allclose(norm.bias.detach(), inputs.mean(0) + bias, **exact)


def test_one_way_to_insert() -> None:
    """Behind layers that keep their bias: as `insert_batch_norm` does to any network."""
    model = MODELS["vgg11"]
    state = trained(model)
    names = [f"conv{i}" for i in range(1, 9)]
    surgical: Parts = insert_batch_norm(parent_of(model, state), names, [images(8)])
    child = fresh(model, BatchConfig())
    inherit(child, state, [images(8)], inserted="identity")
    for index, name in enumerate(names, start=1):
        one, other = surgical.get_submodule(f"{name}_norm"), child.get_submodule(f"norm{index}")
        for key in ("running_var", "weight", "bias"):
            np.testing.assert_allclose(
                getattr(one, key).detach(), getattr(other, key).detach(), rtol=1e-12
            )
        shift = state[f"{name}.bias"]
        np.testing.assert_allclose(one.running_mean, other.running_mean + shift, rtol=1e-12)


def test_a_dead_unit() -> None:
    model = MODELS["vgg11"]
    state = trained(model, dead="conv3")
    child = fresh(model, BatchConfig())
    inherit(child, state, [images(8)], inserted="identity")
    norm = child.norm3
    assert norm.running_var[0].item() == 0
    assert norm.running_mean[0].item() == 0
    assert norm.weight[0].item() == pytest.approx(1e-5**0.5)
    assert norm.bias[0] == state["conv3.bias"][0]
    new = images(6, seed=2)
    before = parent_of(model, state)(new)
    assert (child.eval()(new) - before).abs().max() < 1e-10 * before.abs().max()


@pytest.mark.parametrize("position", ["before", "after"])
def test_reset_leaves_new_layers_as_they_started(position: Position) -> None:
    model = MODELS["resnet20"]
    state = trained(model)
    child = fresh(model, BatchConfig(position=position))
    start = {name: values.clone() for name, values in child.state_dict().items()}
    inherit(child, state, [], inserted="reset")
    for name, values in child.state_dict().items():
        assert torch.equal(values, state[name] if name in state else start[name]), name
    assert torch.equal(child.norm1.weight, torch.ones(16, dtype=torch.float64))


def test_reset_loses_biases_that_training_does_not_see() -> None:
    model = MODELS["mlp"]
    state = trained(model)
    child = fresh(model, BatchConfig())
    inherit(child, state, [], inserted="reset")
    assert "linear1.bias" in state
    assert child.linear1.bias is None
    assert torch.equal(child.norm1.bias, torch.zeros(12, dtype=torch.float64))
    reference = parent_of(model, state)
    new = images(8)
    before = reference.linear1(new.flatten(1))
    normalized = (before - before.mean(0)) / (before.var(0, correction=0) + 1e-5).sqrt()
    outputs = child.norm1.train()(child.linear1(new.flatten(1)))
    torch.testing.assert_close(outputs, normalized, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("inserted", ["identity", "reset"])
@pytest.mark.parametrize(
    "norm", [NoNormConfig(), BatchConfig(), GroupConfig(groups=2), LpConfig()], ids=lambda n: n.NAME
)
def test_the_same_norm_is_copied_to_the_bit(
    norm: NormConfig, inserted: Literal["identity", "reset"]
) -> None:
    model = MODELS["vgg11"]
    state = trained(model, norm)
    child = fresh(model, norm)
    inherit(child, state, [], inserted=inserted)  # batches are not read
    assert child.state_dict().keys() == state.keys()
    for name, values in child.state_dict().items():
        assert torch.equal(values, state[name]), name
    kept = {name: values.clone() for name, values in state.items()}
    with torch.no_grad():
        child.conv1.weight.zero_()
    assert torch.equal(state["conv1.weight"], kept["conv1.weight"])


@pytest.mark.parametrize(
    ("norm", "named"),
    [
        (LayerConfig(), "norm1 is a LayerNorm"),
        (GroupConfig(groups=3), "norm1 is a GroupNorm"),
        (LpConfig(), "norm1 is a LpNorm"),
        (BatchChannelConfig(groups=3), "norm1.channel is a ChannelNorm"),
    ],
    ids=lambda value: getattr(value, "NAME", ""),
)
def test_norms_that_cannot_be_the_identity(norm: NormConfig, named: str) -> None:
    model = MODELS["mlp"]
    state = trained(model)
    child = fresh(model, norm)
    with pytest.raises(ValueError, match="evaluate by running mean and variance") as error:
        inherit(child, state, [images(8)], inserted="identity")
    assert named in str(error.value)
    assert str(error.value).endswith("Choose one of these, or inserted_norms=reset.")
    inherit(child, state, [], inserted="reset")
    assert torch.equal(child.linear1.weight, state["linear1.weight"])


def test_no_gamma() -> None:
    child = fresh(MODELS["mlp"], BatchConfig(affine=False))
    with pytest.raises(ValueError, match=r"norm1 has none\. Set norm\.affine=true, or inserted"):
        inherit(child, trained(MODELS["mlp"]), [images(8)], inserted="identity")


def test_another_way_of_evaluation() -> None:
    child = fresh(MODELS["mlp"], BatchConfig(population="precise"))
    with pytest.raises(ValueError, match=r"norm\.population=precise\. Set norm\.population=ema"):
        inherit(child, trained(MODELS["mlp"]), [images(8)], inserted="identity")


def test_a_bias_read_by_many_normalizations() -> None:
    model = ResNet20Config(preactivation=True)
    state = trained(model)
    with pytest.raises(ValueError, match="right behind conv1, whose bias the parent has") as error:
        inherit(fresh(model, BatchConfig()), state, [images(8)], inserted="identity")
    assert "Set norm.position=after, which keeps biases" in str(error.value)
    child = fresh(model, BatchConfig(position="after"))
    inherit(child, state, [images(8)], inserted="identity")
    new = images(6, seed=2)
    before = parent_of(model, state)(new)
    assert (child.eval()(new) - before).abs().max() < 1e-10 * before.abs().max()


def test_no_batches() -> None:
    child = fresh(MODELS["mlp"], BatchConfig())
    with pytest.raises(ValueError, match=r"no batch reached norm1, norm2\. Give at least one"):
        inherit(child, trained(MODELS["mlp"]), [], inserted="identity")


REMEDY = (
    "Start from a run with the same model, number of outputs and norm, or, where that has "
    "norm=none, choose norm=batch here."
)


@pytest.mark.parametrize("inserted", ["identity", "reset"])
@pytest.mark.parametrize(
    ("parent", "child", "message"),
    [
        (
            (MODELS["mlp"], BatchConfig(), 10),
            (MODELS["mlp"], NoNormConfig(), 10),
            "the parent has no linear1.bias.",
        ),
        (
            (MODELS["mlp"], BatchConfig(position="after"), 10),
            (MODELS["mlp"], NoNormConfig(), 10),
            "the parent's norm1.weight finds none.",
        ),
        (
            (MODELS["mlp"], LayerConfig(), 10),
            (MODELS["mlp"], BatchConfig(), 10),
            "the parent has no norm1.running_mean.",
        ),
        (
            (MODELS["mlp"], BatchConfig(position="after"), 10),
            (MODELS["mlp"], BatchConfig(), 10),
            "the parent's linear1.bias finds none.",
        ),
        (
            (MODELS["mlp"], NoNormConfig(), 10),
            (MODELS["mlp"], NoNormConfig(), 7),
            "the parent's linear3.weight has (10, 9), this network's (7, 9).",
        ),
        (
            (MLPConfig(widths=(12,)), NoNormConfig(), 10),
            (MODELS["mlp"], BatchConfig(), 10),
            "the parent has no linear3.weight.",
        ),
        (
            (MODELS["mlp"], NoNormConfig(), 10),
            (MLPConfig(widths=(12,)), BatchConfig(), 10),
            "the parent's linear2.weight has (9, 12), this network's (10, 12).",
        ),
    ],
)
def test_networks_that_do_not_correspond(
    parent: Any, child: Any, message: str, inserted: Literal["identity", "reset"]
) -> None:
    model, norm, num_outputs = parent
    state = fresh(model, norm, num_outputs=num_outputs).state_dict()
    model, norm, num_outputs = child
    network = fresh(model, norm, num_outputs=num_outputs)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        inherit(network, state, [images(4)], inserted=inserted)
    assert message in str(error.value)
    assert str(error.value).endswith(REMEDY)
    for name, values in network.state_dict().items():
        assert torch.equal(values, before[name])
