"""What passes a named place: parts of structures, one of several runs; what cannot be watched."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from normlab.measures import (
    Captured,
    Point,
    measure_activations,
    measure_blocks,
    measure_statistics,
    watching,
)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@dataclass
class Output:
    hidden: Tensor
    extra: dict[str, Tensor] | None = None


class Gives(nn.Module):
    """Gives its input, doubled, in a structure."""

    def __init__(self, structure: Any) -> None:
        super().__init__()
        self.structure = structure

    def forward(self, inputs: Tensor) -> Any:
        return self.structure(2 * inputs)


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        self.inner(inputs)
        return inputs


def seen(model: nn.Module, point: Point, inputs: Tensor) -> Tensor:
    captured = Captured()
    with watching(model, [point], captured.keep):
        model(inputs)
    return captured[point]


STRUCTURES: dict[str, tuple[Any, int | str | None]] = {
    "tuple of one": (lambda x: (x, None), None),
    "nested": (lambda x: {"all": [None, (x,)]}, None),
    "a dataclass of one": (Output, None),
    "a part of a tuple": (lambda x: (0 * x, x), 1),
    "a part of a dict": (lambda x: {"a": 0 * x, "b": x}, "b"),
    "a field": (lambda x: Output(x, {"a": x}), "hidden"),
}


@pytest.mark.parametrize("case", STRUCTURES.values(), ids=STRUCTURES)
def test_a_tensor_in_a_structure(case: tuple[Any, int | str | None]) -> None:
    structure, part = case
    inputs = random(3, 2)
    model = Around(Gives(structure))
    assert torch.equal(seen(model, Point("inner", part=part), inputs), 2 * inputs)
    found = measure_activations(model, inputs, {"mine": Point("inner", part=part)})
    assert found["mine"].mean == pytest.approx(2 * inputs.mean().item())


def test_which_of_several_tensors_must_be_said() -> None:
    inputs = random(3, 2)
    model = Around(Gives(lambda x: {"a": x, "b": 2 * x}))
    with pytest.raises(ValueError, match=r"inner is a dict, not a tensor; .* 'output', part='a'\)"):
        seen(model, Point("inner"), inputs)
    with pytest.raises(ValueError, match=r"inner has no part 'c'; it has 'a', 'b'\."):
        seen(model, Point("inner", part="c"), inputs)
    with pytest.raises(ValueError, match=r"no part 0; it has none, it is a Tensor\."):
        seen(Around(nn.ReLU()), Point("inner", part=0), inputs)
    with pytest.raises(ValueError, match="is a sparse tensor, which has no one dimension of units"):
        seen(Around(Gives(lambda x: x.to_sparse())), Point("inner"), inputs)


def test_what_a_module_reads_by_place_or_keyword() -> None:
    class Adds(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return one + other

    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adds = Adds()

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.adds(one=inputs, other=3 * inputs)
            return self.adds(outputs, 5 * inputs)  # type: ignore[no-any-return]

    inputs = random(3, 2)
    for run, part, factor in ((0, None, 1), (0, "other", 3), (1, None, 4), (1, 1, 5)):
        point = Point("adds", "input", part=part, run=run)
        assert torch.equal(seen(Calls(), point, inputs), factor * inputs)


def test_one_run_of_several() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    model.append(model[1])
    inputs = random(5, 2)
    points = {str(run): Point("1", run=run) for run in range(2)}
    for _ in range(2):
        found = measure_activations(model, inputs, points)
        for name, values in {"0": model[:2](inputs), "1": model(inputs)}.items():
            assert found[name].mean == pytest.approx(values.mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match=r"1 runs more than once .* Point\('1', 'output', run=0\)"):
        measure_activations(model, inputs, ["1"])
    with pytest.raises(ValueError, match=r"1 does not run 3 times in the forward; leave it out"):
        measure_activations(model, inputs, {"third": Point("1", run=2)})
    captured = Captured()
    with watching(model, points.values(), captured.keep):
        model(inputs)
    assert torch.equal(captured[points["1"]], model(inputs))


def test_a_module_is_found_under_each_of_its_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 3)
            self.layers = nn.ModuleList([self.first])

        def forward(self, inputs: Tensor) -> Tensor:
            return self.layers[0](inputs)  # type: ignore[no-any-return]

    found = measure_activations(Twice(), random(4, 2), ["first", "layers.0"], num_units=0)
    assert found["first"].mean == found["layers.0"].mean


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_block_ran_once(reentrant: bool) -> None:
    """Its forward runs again in the backward pass."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 3), nn.Tanh())

        def forward(self, inputs: Tensor) -> Any:
            return checkpoint(self.inner, inputs, use_reentrant=reentrant)

    model, inputs = Checkpointed().double(), random(4, 2).double().requires_grad_()
    points = [Point("inner.1"), Point("inner.1", run=0)]
    captured = Captured()
    with watching(model, points, captured.keep):
        model(inputs).sum().backward()
    for point in points:
        assert torch.equal(captured[point], model.inner(inputs))
    found = measure_activations(model, inputs, ["inner.1"])["inner.1"]
    assert found.mean == pytest.approx(model.inner(inputs).mean().item())


def test_tensors_of_inference_mode_are_kept_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    with torch.inference_mode():
        values = seen(model, Point("0"), random(4, 2))
    assert values.min() < 0


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_parts_of_a_script_module_are_refused() -> None:
    inputs = random(4, 2)
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), nn.Linear(3, 2))
    traced = torch.jit.trace(net[0], inputs)
    model = nn.Sequential(traced, net[1])
    found = measure_activations(model, inputs, ["1"])
    assert found["1"].mean == pytest.approx(net(inputs).mean().item())
    for name in ("0", "0.1"):
        with pytest.raises(ValueError, match=f"{name} is a ScriptModule or part of one, which"):
            measure_activations(model, inputs, [name])
    with pytest.raises(ValueError, match="1 is a ScriptModule or part of one"):
        measure_activations(torch.jit.trace(net, inputs), inputs, ["1"])


def test_compiled_parts_are_watched_as_they_were_written() -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.GELU())
    compiled: Any = torch.compile(inner, backend="eager")
    model = nn.Sequential(compiled, nn.ReLU())
    inputs = random(6, 4, 2).transpose(1, 2).reshape(24, 2)
    names = ["0._orig_mod.0", "0._orig_mod.2", "1"]
    found = measure_activations(model, inputs, names)
    for name, layer in zip(names, (inner[0], inner, nn.Sequential(inner, nn.ReLU())), strict=True):
        values = layer(inputs)
        assert found[name].mean == pytest.approx(values.mean().item(), rel=1e-4, abs=1e-7)
    gap = measure_statistics(model, inputs, [inputs], [(inputs, torch.zeros(24).long())])
    torch.testing.assert_close(
        gap.layers["0._orig_mod.1"].population.mean, inner[0](inputs).mean(0).double()
    )


def test_a_point_has_one_of_two_sides() -> None:
    with pytest.raises(ValueError, match="is one of 'input', 'output'; got 'inputs'"):
        Point("0", "inputs")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"run, counted from 0, must be .* got -1"):
        Point("0", run=-1)


class Keeps(nn.Module):
    """Cannot be copied: a result of its forward is an attribute. Writes to its input, too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.bn, self.relu = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()
        self.closure: Any = lambda values: self.linear(values)

    def forward(self, batch: dict[str, list[Tensor]]) -> Tensor:
        (inputs,) = batch["inputs"]
        inputs.mul_(2).add_(1)
        self.features = self.closure(inputs)
        outputs: Tensor = self.relu(self.bn(self.features))
        return outputs


def test_what_cannot_be_copied_is_measured_and_no_batch_is_written_to() -> None:
    torch.manual_seed(0)
    model = Keeps().double()
    batches = [{"inputs": [random(size, 3).double()]} for size in (6, 4)]
    targets = [random(size, 4).double() for size in (6, 4)]
    kept = [batch["inputs"][0].clone() for batch in batches]
    model(copy.deepcopy(batches[0])).sum().backward()
    features, gradient = model.features, model.linear.weight.grad
    state, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()

    def spoils(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets.mul_(2)).square().sum(1)

    activations = measure_activations(model, batches[0], ["linear", "relu"])
    blocks = measure_blocks(model, batches[0], {"": (Point("linear"), Point("relu"))})
    gap = measure_statistics(
        model, batches[0], batches, zip(batches, targets, strict=True), errors=spoils
    )
    hidden = [model.linear(2 * inputs + 1) for inputs in kept]
    assert activations["linear"].mean == pytest.approx(hidden[0].mean().item(), rel=1e-10)
    assert blocks[""].branch == activations["linear"].variance
    torch.testing.assert_close(gap.layers["bn"].population.mean, torch.cat(hidden).mean(0))
    expected = [
        (nn.functional.batch_norm(values, None, None, training=True).relu() - 2 * target)
        for values, target in zip(hidden, [random(6, 4), random(4, 4)], strict=True)
    ]
    error = torch.cat(expected).square().sum(1).mean().item()
    assert gap.errors["batch"] == pytest.approx(error, rel=1e-6)
    assert all(map(torch.equal, kept, (batch["inputs"][0] for batch in batches)))
    assert all(map(torch.equal, targets, (random(6, 4).double(), random(4, 4).double())))
    assert model.features is features
    assert model.linear.weight.grad is gradient
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_forward_runs_in_the_caller_s_own_grad_mode() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.end = nn.Identity()

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.end(inputs * (1 + torch.is_grad_enabled()))
            return outputs

    inputs = torch.ones(3, 2)
    assert measure_activations(Asks(), inputs, ["end"])["end"].mean == 2
    with torch.no_grad():
        assert measure_activations(Asks(), inputs, ["end"])["end"].mean == 1
    with torch.inference_mode():
        assert measure_activations(Asks(), inputs, ["end"])["end"].mean == 1


def test_what_can_be_read_once_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    once = iter([random(4, 2)])
    points = (Point("0"), Point("1"))
    with pytest.raises(ValueError, match="can be read only once"):
        measure_activations(model, once, ["0"])
    with pytest.raises(ValueError, match="can be read only once"):
        measure_blocks(model, once, {"block": points})
    with pytest.raises(ValueError, match="can be read only once"):
        measure_statistics(model, once, [random(4, 2)], [])
