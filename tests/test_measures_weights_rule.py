"""What counts as a weight: what a product multiplies with or a lookup looks up, seen in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from normlab.measures import measure_gradients, measure_ics, total_order
from normlab.measures.layers import weight_names


def layers(
    network: nn.Module, inputs: Any, weights: Sequence[str] | None = None
) -> dict[str, tuple[str, ...]]:
    order = total_order(network, lambda: network(inputs), weights)
    return {layer.name: layer.parameters[1:] for layer in order}


class CourseNorm(nn.Module):
    """Batch normalization as courses write it, gamma and beta of shape (1, C)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, features))
        self.beta = nn.Parameter(torch.zeros(1, features))

    def forward(self, inputs: Tensor) -> Tensor:
        variance = inputs.var(0, unbiased=False) + 1e-5
        return self.gamma * (inputs - inputs.mean(0)) / variance.sqrt() + self.beta


class Standardized(nn.Conv2d):
    """Scaled weight standardization with a gain (Brock et al. 2021)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        rows = F.batch_norm(rows, None, None, weight=self.gain.view(-1), training=True)
        return F.conv2d(inputs, rows.reshape_as(self.weight), self.bias)


class Tokens(nn.Module):
    """All that a transformer learns beside its matrices, and matrices by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 4)
        self.places = nn.Embedding(6, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        self.position = nn.Parameter(torch.randn(6, 4))
        self.query = nn.Parameter(torch.randn(4, 4))
        self.matrix = nn.Parameter(torch.randn(4, 4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.scale = nn.Parameter(torch.full((1, 1, 4), 0.1))
        self.temperature = nn.Parameter(torch.ones(1, 1))
        self.mask: Tensor
        self.register_buffer("mask", torch.ones(4, 4))

    def forward(self, words: Tensor) -> Tensor:
        hidden = self.words(words) + self.places(torch.arange(words.shape[1]))
        hidden = torch.cat([self.token.expand(len(words), -1, -1), hidden], 1)
        hidden = hidden + self.position[: hidden.shape[1]]
        hidden = hidden + self.scale * self.attention(hidden, hidden + 1, hidden)[0]
        hidden = hidden @ (self.matrix.T * self.mask).to(torch.float32)
        attended = torch.softmax(hidden @ (self.query @ self.matrix_free()), -1)
        return attended.mean(1) * self.temperature

    def matrix_free(self) -> Tensor:
        return torch.eye(4)


def test_what_a_transformer_learns_beside_its_matrices_is_no_weight() -> None:
    for batch_size in (1, 3):
        words = torch.randint(11, (batch_size, 5))
        assert layers(Tokens(), words) == {
            "words": ("places.weight", "token", "position"),
            "attention.in_proj_weight": ("attention.in_proj_bias",),
            "attention.out_proj": ("attention.out_proj.bias", "scale"),
            "matrix": (),
            "query": ("temperature",),
        }


def test_a_hand_written_norm_is_measured_as_torch_s_own() -> None:
    def rows(norm: type[nn.Module]) -> list[tuple[str, int, float]]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 12), norm(12), nn.ReLU(), nn.Linear(12, 3)).double()
        batch = torch.randn(16, 8).double(), torch.randint(3, (16,))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        shift = measure_ics(model, F.cross_entropy, batch, optimizer, moved="weights")
        return [(row.layer, row.index, round(row.l2, 10)) for row in shift.rows]

    assert rows(CourseNorm) == rows(nn.BatchNorm1d)


def test_what_makes_a_weight_belongs_to_it() -> None:
    images = torch.randn(2, 3, 8, 8)
    network = nn.Sequential(Standardized(3, 4), nn.ReLU(), Standardized(4, 4))
    assert layers(network, images) == {
        "0": ("0.gain", "0.bias"),
        "2": ("2.gain", "2.bias"),
    }
    normed = nn.Sequential(weight_norm(nn.Linear(4, 4)), spectral_norm(nn.Linear(4, 4)))
    assert layers(normed, torch.randn(3, 4)) == {
        "0.parametrizations.weight.original1": ("0.parametrizations.weight.original0", "0.bias"),
        "1.parametrizations.weight.original": ("1.bias",),
    }


def test_lookups_by_hand_and_one_hot_products_count() -> None:
    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.rows = (nn.Parameter(torch.randn(9, 4)) for _ in range(2))
            self.bias_of_places = nn.Parameter(torch.randn(9, 4))
            self.bag = nn.EmbeddingBag(9, 4)

        def forward(self, ids: Tensor) -> Tensor:
            one_hot = F.one_hot(ids, 9).to(torch.float32)
            found = self.table[ids] + self.bias_of_places[torch.tensor([0, 1, 2])]
            outputs: Tensor = (found + one_hot @ self.rows).mean(1) + self.bag(ids)
            return outputs

    order = layers(Tables(), torch.randint(9, (5, 3)))
    assert order == {"table": ("bias_of_places",), "rows": (), "bag": ()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_recurrent_weights_have_their_biases(dtype: torch.dtype) -> None:
    network = nn.LSTM(4, 3, num_layers=2, dtype=dtype)
    expected = {
        f"weight_{kind}_l{layer}": (f"bias_{kind}_l{layer}",)
        for layer in (0, 1)
        for kind in ("ih", "hh")
    }
    assert layers(network, torch.randn(5, 2, 4, dtype=dtype)) == expected


def test_somebody_may_say_otherwise() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), CourseNorm(12), nn.ReLU(), nn.Linear(12, 3)).double()
    batch = torch.randn(16, 8).double(), torch.randint(3, (16,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights = ["1.gamma", "0", "3.weight"]
    shift = measure_ics(model, F.cross_entropy, batch, optimizer, weights=weights)
    assert [row.layer for row in shift.rows] == ["1.gamma", "3"]
    rows = measure_gradients(model, F.cross_entropy, [batch], weights=weights)
    assert [row.layer for row in rows] == ["0", "1.gamma", "3"]
    assert [row.layer for row in measure_gradients(model, F.cross_entropy, [batch])] == ["0", "3"]
    for measure in (
        lambda weights: measure_ics(model, F.cross_entropy, batch, optimizer, weights=weights),
        lambda weights: measure_gradients(model, F.cross_entropy, [batch], weights=weights),
    ):
        with pytest.raises(ValueError, match=r"no parameter '1\.gama'\. Nearest: 1\.gamma"):
            measure(["1.gama"])
        with pytest.raises(ValueError, match="weights names no parameter"):
            measure([])


def test_without_a_forward_the_rule_is_by_class_and_shape() -> None:
    assert weight_names(Tokens()) == [
        "position",
        "query",
        "matrix",
        "words.weight",
        "places.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    ]
    network = nn.Sequential(nn.Linear(4, 1), CourseNorm(1), nn.LayerNorm((2, 3)), nn.PReLU(3))
    assert weight_names(network) == ["0.weight"]
    assert weight_names(Standardized(3, 4)) == ["weight"]
    attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
    assert weight_names(attention) == ["in_proj_weight", "out_proj.weight"]
    assert weight_names(nn.GRU(2, 3)) == ["weight_ih_l0", "weight_hh_l0"]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(inputs))
        return outputs


def test_a_weight_used_twice_is_refused_with_both_uses() -> None:
    text = r"first\.weight and second\.weight are one parameter, used in first and in second"
    with pytest.raises(ValueError, match=text):
        layers(Shared(), torch.ones(2, 3))

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.middle = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = self.middle(self.encoder(inputs))
            outputs: Tensor = hidden @ self.encoder.weight
            return outputs

    text = r"used again after middle\.weight: in encoder and in the network's own forward"
    with pytest.raises(ValueError, match=text):
        layers(Again(), torch.ones(2, 3))
