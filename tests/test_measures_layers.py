"""The total order of layers, on modules of many shapes."""

import pytest
import torch
from torch import Tensor, nn

from normlab.measures import total_order
from normlab.measures.layers import select


def order_of(network: nn.Module, *shape: int) -> list[tuple[str, tuple[str, ...]]]:
    layers = total_order(network, lambda: network(torch.ones(shape)))
    assert [layer.index for layer in layers] == list(range(1, len(layers) + 1))
    return [(layer.name, layer.parameters) for layer in layers]


class Residual(nn.Module):
    """Registered against the order of running: the shortcut first, the branch after it."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Linear(3, 3, bias=False)
        self.branch = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))

    def forward(self, inputs: Tensor) -> Tensor:
        branch: Tensor = self.branch(inputs)
        shortcut: Tensor = self.shortcut(inputs)
        return branch + shortcut


class Tied(nn.Module):
    """One matrix used for encoding and, through a function, for decoding."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3, bias=False)
        self.middle = nn.Linear(3, 3, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.middle(self.encoder(inputs))
        return nn.functional.linear(hidden, self.encoder.weight.T)


class Attention(nn.Module):
    """Calls a module that uses its child's weight without calling the child."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.head.weight.dtype)
        outputs: Tensor = self.head(self.attention(inputs, inputs, inputs)[0])
        return outputs


def test_parameters_belong_to_the_weight_before_them() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    assert order_of(network, 2, 3) == [
        ("0", ("0.weight", "0.bias", "1.weight", "1.bias")),
        ("3", ("3.weight", "3.bias")),
    ]


def test_parameters_before_the_first_weight_belong_to_it() -> None:
    network = nn.Sequential(nn.LayerNorm((2, 3)), nn.Linear(3, 4, bias=False))
    assert order_of(network, 5, 2, 3) == [("1", ("1.weight", "0.weight", "0.bias"))]


def test_order_is_of_running_not_of_registration() -> None:
    assert order_of(Residual(), 2, 3) == [
        ("branch.0", ("branch.0.weight", "branch.0.bias", "branch.1.weight", "branch.1.bias")),
        ("shortcut", ("shortcut.weight",)),
    ]


def test_weights_used_through_functions_have_their_place() -> None:
    names = [name for name, _ in order_of(Attention(), 2, 5, 4)]
    assert names == ["attention.in_proj_weight", "attention.out_proj", "head"]


def test_recurrent_weights_keep_their_names() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.head(self.lstm(inputs)[0][:, -1])
            return outputs

    names = [name for name, _ in order_of(Last(), 2, 5, 3)]
    assert names == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"]


def test_watching_leaves_no_hook() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    order_of(network, 2, 3)
    assert all(not module._forward_pre_hooks for module in network.modules())


def test_a_layer_that_runs_twice_is_refused() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.layer(self.layer(inputs))
            return outputs

    with pytest.raises(
        ValueError, match=r"layer layer runs 2 times in one forward.*weight of its own"
    ):
        order_of(Loop(), 2, 3)
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"0\.weight and 2\.weight are one parameter"):
        order_of(nn.Sequential(layer, nn.ReLU(), layer), 2, 3)


def test_a_shared_parameter_is_refused() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    with pytest.raises(ValueError, match=r"0\.weight and 1\.weight are one parameter"):
        order_of(network, 2, 3)


def test_a_weight_used_again_by_a_function_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder\.weight is used again after middle\.weight"):
        order_of(Tied(), 2, 3)


def test_selection() -> None:
    network = nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)))
    order = total_order(network, lambda: network(torch.ones(2, 3)))
    assert [layer.name for layer in select(order, None, network)] == ["1", "2", "3"]
    assert [layer.name for layer in select(order, ["3", "1"], network)] == ["1", "3"]
    with pytest.raises(ValueError, match="no weight layer '7'; it has 0, 1, 2, 3"):
        select(order, ["7"], network)
    with pytest.raises(ValueError, match=r"0 is the first layer.*Choose from 1, 2, 3\."):
        select(order, ["0"], network)
    with pytest.raises(ValueError, match="at least 2 weight layers; the forward of this one uses"):
        select(order[:1], None, network)


def test_an_idle_layer_is_refused_unless_left_out() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(3, 3)
            self.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.body(inputs)
            return outputs

    network = Idle()
    order = total_order(network, lambda: network(torch.ones(2, 3)))
    with pytest.raises(ValueError, match="unused does not run in the forward"):
        select(order, None, network)
    with pytest.raises(ValueError, match=r"layer unused does not run in the forward; leave it out"):
        select(order, ["unused"], network)
    assert [layer.name for layer in select(order, ["body.1"], network)] == ["body.1"]
