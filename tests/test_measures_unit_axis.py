"""Where units are: the layer's own dimension, or that of the layers before, against NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from normlab.measures import Captured, Point, measure_activations, measure_blocks
from normlab.measures.activations import fixed_units
from normlab.measures.unit_axis import UnitAxes


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) + 0.3


def rows_of(values: Tensor, axis: int) -> np.ndarray:
    """(C, everything else)."""
    array = values.detach().numpy()
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def outputs_of(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """What every module gives, copied at once."""
    found: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(
            lambda module, args, output, name=name: found.update(
                {name: output.clone()} if isinstance(output, Tensor) else {}
            )
        )
        for name, module in model.named_modules()
    ]
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    return found


def assert_measured(
    model: nn.Module, inputs: Tensor, axes: dict[str, int], **options: object
) -> None:
    """The statistics of some modules are those over all dimensions but the given one."""
    found = measure_activations(model, inputs, list(axes), num_units=3, **options)  # type: ignore[arg-type]
    for name, values in outputs_of(model, inputs).items():
        if name not in axes:
            continue
        rows = rows_of(values, axes[name])
        units = fixed_units(name, len(rows), 3)
        row = found[name]
        assert row.mean == pytest.approx(rows.mean(), rel=1e-9, abs=1e-12)
        assert row.variance == pytest.approx(rows.var(axis=1).mean(), rel=1e-9)
        assert row.distribution is not None
        assert row.distribution.units == units
        percentiles = np.percentile(rows[list(units)], [15, 50, 85], axis=1).T
        np.testing.assert_allclose(row.distribution.percentiles, percentiles, atol=1e-12)
        if not math.isnan(row.dead):
            assert row.dead == pytest.approx((rows.max(axis=1) <= 0).mean(), abs=1e-15)


def test_units_of_a_linear_layer_on_sequences_are_its_last_dimension() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 5), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(5), nn.RMSNorm(5), nn.GELU()
    ).double()
    with torch.no_grad():
        model.get_parameter("0.bias")[0] = -50
    inputs = random(4, 10, 8)
    assert measure_activations(model, inputs, ["1"])["1"].dead == pytest.approx(0.2)
    assert_measured(model.eval(), inputs, {str(index): 2 for index in range(6)})


def test_units_of_convolutions_and_norms_of_channels_are_dimension_1() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 6),
        nn.InstanceNorm2d(6, affine=True), nn.Hardswish(inplace=True), nn.Conv2d(6, 4, 1),
        nn.Softmax(1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Tanh(),
    ).double()  # fmt: skip
    for layout in (torch.contiguous_format, torch.channels_last):
        inputs = random(3, 2, 12, 12).to(memory_format=layout)
        assert_measured(model, inputs, {str(index): 1 for index in range(13)})


class Block(nn.Module):
    """ConvNeXt's: channels are dimension 1 outside and last inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 3 * width)
        self.act = nn.GELU()
        self.narrow = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.5))
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        branch = self.norm(self.mix(inputs).permute(0, 2, 3, 1))
        branch = self.narrow(self.act(self.wide(branch))).permute(0, 3, 1, 2)
        outputs: Tensor = inputs + self.drop(self.scale * branch)
        return outputs


def test_units_are_followed_through_permutations_inside_a_block() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), Block(4), Block(4)).double().eval()
    inputs = random(3, 2, 4, 4)  # as many positions as channels
    axes = {"0": 1, "1": 1, "2": 1, "2.mix": 1, "2.drop": 1}
    axes |= {"2.norm": 3, "2.wide": 3, "2.act": 3, "2.narrow": 3}
    assert_measured(model, inputs, axes)
    places = (Point("2.drop"), Point("2", "input"))
    found = measure_blocks(model, inputs, {"2": places})["2"]
    outputs = outputs_of(model, inputs)
    assert found.branch == pytest.approx(rows_of(outputs["2.drop"], 1).var(1).mean(), rel=1e-9)
    assert found.skip == pytest.approx(rows_of(outputs["1"], 1).var(1).mean(), rel=1e-9)


def test_torchvision_s_convnext_and_swin() -> None:
    torch.manual_seed(0)
    setting = torchvision.models.convnext.CNBlockConfig
    convnext = torchvision.models.ConvNeXt([setting(8, 12, 2), setting(12, None, 1)]).double()
    axes = {
        name: 3 if name[-7:] in [f"block.{stage}" for stage in range(1, 6)] else 1
        for name, values in outputs_of(convnext.eval(), random(2, 3, 32, 32)).items()
        if values.dim() == 4
    }
    assert "features.0.1" in axes  # a LayerNorm by its class, whose channels are dimension 1
    assert_measured(convnext, random(2, 3, 32, 32), axes)
    swin = torchvision.models.SwinTransformer(
        [2, 2], embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4]
    ).double()
    axes = {
        name: 1 if name in ("features.0.0", "permute", "avgpool") else values.dim() - 1
        for name, values in outputs_of(swin.eval(), random(2, 3, 16, 16)).items()
        if not name.endswith("stochastic_depth")  # runs twice
    }
    assert_measured(swin, random(2, 3, 16, 16), axes)


class Attention(nn.Module):
    """By hand, and by torch's function."""

    def __init__(self, width: int, num_heads: int, fused: bool) -> None:
        super().__init__()
        self.num_heads, self.fused = num_heads, fused
        self.qkv = nn.Linear(width, 3 * width)
        self.weights, self.heads, self.merged = nn.Identity(), nn.Identity(), nn.Identity()
        self.out = nn.Parameter(torch.randn(width, width))

    def forward(self, inputs: Tensor) -> Tensor:
        num, length, width = inputs.shape
        qkv = self.qkv(inputs).reshape(num, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            weights = (query @ key.transpose(-2, -1) / value.shape[-1] ** 0.5).softmax(-1)
            mixed = self.weights(weights) @ value
        mixed = mixed.transpose(1, 2).reshape(num, length, width)
        mixed = self.merged(mixed) if self.fused else mixed
        outputs: Tensor = self.heads(F.linear(mixed, self.out))
        return outputs


@pytest.mark.parametrize("fused", [True, False])
def test_attention(fused: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), Attention(6, 2, fused), nn.ReLU()).double()
    inputs = random(3, 6, 6)
    axes = {"1": 2, "1.qkv": 2, "1.heads": 2, "2": 2}
    assert_measured(model, inputs, axes | ({"1.merged": 2} if fused else {}))
    if not fused:
        with pytest.raises(ValueError, match=r"units of the output of 1\.weights, of shape"):
            measure_activations(model, inputs, ["1.weights"])


def test_torch_s_own_attention_and_recurrent_layers() -> None:
    torch.manual_seed(0)
    inputs = random(3, 5, 6)

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(6, 2, batch_first=True)
            self.lstm = nn.LSTM(6, 4, batch_first=True)
            self.layer = nn.TransformerEncoderLayer(4, 2, 7, 0.0, batch_first=True)
            self.end = nn.Sigmoid()

        def forward(self, inputs: Tensor) -> Tensor:
            mixed, _ = self.attn(inputs, inputs, inputs)
            return self.end(self.layer(self.lstm(mixed)[0]))  # type: ignore[no-any-return]

    model = Parts().double()
    points = {"attention": Point("attn", part=0), "memory": Point("lstm", part=0)}
    found = measure_activations(model, inputs, points)
    with torch.no_grad():
        mixed, _ = model.attn(inputs, inputs, inputs)
        memory, _ = model.lstm(mixed)
    for name, values in {"attention": mixed, "memory": memory}.items():
        assert found[name].variance == pytest.approx(rows_of(values, 2).var(1).mean(), rel=1e-9)
    for training in (True, False):
        assert_measured(model.train(training), inputs, {"layer": 2, "end": 2})


TO_LINEAR: dict[str, tuple[Callable[[Tensor], Tensor], int | None]] = {
    "transpose": (lambda x: x.transpose(1, 2), 1),
    "three dimensions to two and back": (lambda x: x.reshape(-1, 5).view(3, 8, 5), 2),
    "roll": (lambda x: x.roll(1, 1), 2),
    "class token": (lambda x: torch.cat([x.new_zeros(4, 1, 5), x], 1), 2),
    "joined features": (lambda x: torch.cat([x, 2 * x], -1), 2),
    "pad": (lambda x: F.pad(x, (0, 1, 2, 0)), 2),
    "chunk": (lambda x: x.chunk(2, dim=-1)[1], 2),
    "slice": (lambda x: x[:, 1::2], 2),
    "split in two, merged": (lambda x: F.pad(x, (0, 1)).unflatten(2, (2, 3)).flatten(2), 2),
    "windows": (lambda x: x.unflatten(1, (2, 3)).transpose(1, 2).reshape(12, 2, 5), 2),
    "mean of positions": (lambda x: x.mean(1, keepdim=True), 2),
    "positions added": (lambda x: x + torch.ones(6, 5).to(x), 2),
    "written into": (lambda x: x.mul_(2).add_(x), 2),
    "normalized": (lambda x: x / x.norm(dim=-1, keepdim=True), 2),
    "tokens mixed by a weight": (lambda x: torch.full((3, 6), 0.5).to(x) @ x, 2),
    "half precision": (lambda x: x.half().double(), 2),
    "gated": (lambda x: F.glu(F.pad(x, (0, 1))), 2),
    "product with its transpose": (lambda x: x @ x.transpose(1, 2), None),
    "units and positions merged": (lambda x: x.flatten(1).unflatten(1, (3, 10)), None),
    "split in two": (lambda x: F.pad(x, (0, 1)).unflatten(2, (2, 3)), None),
    "added to its transpose": (lambda x: x[:, :5] + x[:, :5].transpose(1, 2), None),
    "einsum over units": (lambda x: torch.einsum("nlc,nmc->nlm", x, x), None),
    "mean of units": (lambda x: x.mean(2, keepdim=True).expand(4, 6, 3), None),
    "distances": (lambda x: torch.cdist(x, x), None),
}


class Then(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear, self.function, self.end = nn.Linear(3, 5), function, nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.end(self.function(self.linear(inputs)))
        return outputs


@pytest.mark.parametrize("case", TO_LINEAR.values(), ids=TO_LINEAR)
def test_what_happens_to_tensors_is_followed(
    case: tuple[Callable[[Tensor], Tensor], int | None],
) -> None:
    function, axis = case
    torch.manual_seed(0)
    model = Then(function).double()
    inputs = random(4, 6, 3)
    if axis is not None:
        assert_measured(model, inputs, {"end": axis})
    else:
        with pytest.raises(ValueError, match="it cannot be told which dimension"):
            measure_activations(model, inputs, ["end"])
        with torch.no_grad():
            last = function(model.linear(inputs)).dim() - 1
        assert_measured(model, inputs, {"end": last}, unit_axis={"end": -1})


def test_channels_shuffled_between_groups_are_followed() -> None:
    def shuffled(values: Tensor) -> Tensor:
        groups = values.unflatten(1, (2, 3)).transpose(1, 2).contiguous()
        merged: Tensor = groups.flatten(1, 2)
        return merged

    torch.manual_seed(0)
    then = Then(shuffled)
    then.linear = nn.Identity()  # type: ignore[assignment]
    model = nn.Sequential(nn.Conv1d(2, 6, 1), then).double()
    assert_measured(model, random(3, 2, 7), {"1.end": 1})


def test_a_batch_normalization_of_ones_own_reads_channels_unless_they_are_seen_elsewhere() -> None:
    class Acts(nn.BatchNorm2d):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs).relu()

    class Last(nn.BatchNorm1d):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs.transpose(1, 2)).transpose(1, 2)

    torch.manual_seed(0)
    mixes = Then(lambda x: torch.einsum("nhwc,dc->ndhw", x, torch.ones(4, 5).to(x)))
    model = nn.Sequential(mixes, Acts(4)).double()
    assert_measured(model, random(3, 4, 4, 3), {"1": 1})
    model = nn.Sequential(nn.Linear(3, 5), Last(5)).double()
    assert_measured(model, random(4, 5, 3), {"1": 2})


def test_what_the_user_says_goes_first() -> None:
    torch.manual_seed(0)
    inputs = random(4, 3, 3)
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 5)).double()
    with pytest.raises(ValueError, match=r"units of the output of 0, of shape \(4, 3, 3\): .* -1}"):
        measure_activations(model, inputs, ["0"])
    assert_measured(model, inputs, {"0": 2, "1": 2}, unit_axis={"0": 2})
    assert_measured(model, inputs, {"0": 1, "1": 1}, unit_axis=1)
    model[0].unit_axis = 0  # type: ignore[assignment]
    assert_measured(model, inputs, {"0": 0, "1": 2})
    with pytest.raises(ValueError, match=r"said to lie on dimension 3; it has shape \(4, 3, 3\)"):
        measure_activations(model, inputs, ["0"], unit_axis=3)
    with pytest.raises(ValueError, match="unit_axis names '1', which is not measured"):
        measure_activations(model, inputs, ["0"], unit_axis={"1": 1})


def test_later_forwards_need_not_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.BatchNorm1d(4)).double()
    axes, point = UnitAxes(), Point("1")
    for seed in range(2):
        captured = Captured()
        with axes.watching(model, [point], captured.keep):
            model(random(2, 4, 3, seed=seed))
        outputs = model[:2](random(2, 4, 3, seed=seed))
        assert torch.equal(captured[point], outputs.transpose(1, 2))
        monkeypatch.setattr("normlab.measures.unit_axis._following", None)
    assert all(not module._forward_hooks for module in model.modules())
