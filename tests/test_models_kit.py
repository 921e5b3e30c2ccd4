"""What the kit puts around a weight layer, and dropout."""

import copy

import pytest
import torch
from support.parts import gradient_of
from torch import Tensor, nn

from normlab.config import NormConfig
from normlab.models.chain import Chain, weight_layers
from normlab.models.dropout import Dropout
from normlab.models.kit import Kit
from normlab.models.layers import Linear
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.norms.group import GroupConfig
from normlab.norms.layer import LayerConfig
from normlab.norms.none import NoNormConfig
from normlab.randomness import Clock, Stream


def names(kit: Kit, **settings: bool) -> list[str]:
    return [name for name, _ in kit.unit(2, kit.linear(4, 6), **settings)]


def test_order_before_the_activation() -> None:
    kit = Kit(norm=BatchConfig(), dropout=0.5)
    assert names(kit, dropout=True) == ["linear2", "norm2", "relu2", "dropout2"]
    assert names(kit) == ["linear2", "norm2", "relu2"]


def test_order_after_the_activation() -> None:
    kit = Kit(norm=BatchConfig(position="after"), dropout=0.5)
    assert names(kit, dropout=True) == ["linear2", "relu2", "norm2", "dropout2"]


def test_stages_that_are_off_do_not_exist() -> None:
    assert names(Kit(norm=NoNormConfig()), dropout=True) == ["linear2", "relu2"]
    identity = Kit(norm=BatchConfig(position="after"), activation="identity")
    assert names(identity) == ["linear2", "norm2"]


@pytest.mark.parametrize(
    ("norm", "has_bias"),
    [
        (NoNormConfig(), True),
        (BatchConfig(), False),
        (BatchConfig(affine=False), False),
        (BatchConfig(position="after"), True),
        (LayerConfig(), False),
        (LayerConfig(affine=False), True),
        (GroupConfig(groups=2), False),
        (GroupConfig(groups=2, affine=False), True),
    ],
)
def test_bias_only_where_the_next_norm_leaves_it_a_meaning(
    norm: NormConfig, has_bias: bool
) -> None:
    kit = Kit(norm=norm)
    layer = kit.unit(1, kit.linear(4, 6))[0][1]
    assert (layer.bias is not None) == has_bias


def test_chain_refuses_a_name_twice() -> None:
    with pytest.raises(AssertionError, match="a name is used twice"):
        Chain([("relu1", nn.ReLU()), ("relu1", nn.ReLU())])


def test_chain_slices_to_a_chain() -> None:
    chain = Chain([("flatten", nn.Flatten()), ("linear1", Linear(4, 3)), ("relu1", nn.ReLU())])
    assert [name for name, _ in chain[1:].named_children()] == ["linear1", "relu1"]
    assert isinstance(chain[1:], Chain)


def test_weight_layers_of_any_module() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(3, 4)))
    assert [name for name, _ in weight_layers(model)] == ["0", "2.0"]


def test_dropout_rate_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and less than 1; got 1.5."):
        Kit(norm=NoNormConfig(), dropout=1.5)


class TestDropout:
    def layer(self, rate: float = 0.25, name: str = "dropout/a", seed: int = 0) -> Dropout:
        return Dropout(rate, Stream(seed, name, Clock()))

    def test_keeps_the_mean_and_drops_the_rate(self) -> None:
        # 200,000 Bernoulli draws: 5 standard deviations of the share are 0.005.
        outputs = self.layer()(torch.ones(400, 500))
        assert outputs.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
        assert (outputs == 0).double().mean().item() == pytest.approx(0.25, abs=0.005)

    def test_gradient_passes_through_the_same_mask(self) -> None:
        inputs = torch.randn(20, 30, requires_grad=True)
        outputs = self.layer()(inputs)
        outputs.sum().backward()
        assert torch.equal(
            gradient_of(inputs), torch.where(outputs == 0, 0.0, 1 / torch.tensor(0.75))
        )

    def test_is_the_identity_in_evaluation(self) -> None:
        inputs = torch.randn(4, 5)
        assert self.layer().eval()(inputs) is inputs

    def test_not_inverted_scales_in_evaluation_instead_and_drops_the_same(self) -> None:
        kit = Kit(norm=NoNormConfig(), dropout=0.25, inverted_dropout=False)
        layer = dict(kit.dropped("dropout/a"))["dropout/a"]
        inverted = dict(Kit(norm=NoNormConfig(), dropout=0.25).dropped("dropout/a"))["dropout/a"]
        inputs = torch.randn(20, 30, dtype=torch.float64)
        expected = inverted(inputs) * 0.75
        torch.testing.assert_close(layer(inputs), expected, rtol=1e-15, atol=0.0)
        assert set(layer(torch.ones(20, 30)).unique().tolist()) == {0.0, 1.0}
        assert torch.equal(layer.eval()(inputs), inputs * 0.75)

    def test_mask_depends_on_seed_name_and_step_alone(self) -> None:
        inputs = torch.ones(10, 50)
        layer = self.layer()
        first: Tensor = layer(inputs)
        assert torch.equal(layer(inputs), first)
        assert torch.equal(copy.deepcopy(layer)(inputs), first)
        assert not torch.equal(self.layer(name="dropout/b")(inputs), first)
        assert not torch.equal(self.layer(seed=1)(inputs), first)
        layer.stream.clock.step = 1
        assert not torch.equal(layer(inputs), first)

    def test_layers_of_one_network_drop_different_units(self) -> None:
        kit = Kit(norm=NoNormConfig(), dropout=0.5)
        first = dict(kit.dropped("dropout1"))["dropout1"]
        second = dict(kit.dropped("dropout2"))["dropout2"]
        inner = dict(kit.within("block1").dropped("dropout1"))["dropout1"]
        masks = [layer(torch.ones(100)) for layer in (first, second, inner)]
        assert not torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])

    def test_runs_on_the_meta_device(self) -> None:
        assert self.layer()(torch.empty(3, 4, device="meta")).shape == (3, 4)


def test_batch_norm_of_the_kit_takes_its_settings() -> None:
    kit = Kit(norm=BatchConfig(eps=1e-3, momentum=0.2, affine=False))
    layer = dict(kit.unit(1, kit.conv(3, 8, 3)))["norm1"]
    assert isinstance(layer, BatchNorm)
    assert (layer.eps, layer.momentum, layer.weight) == (1e-3, 0.2, None)
