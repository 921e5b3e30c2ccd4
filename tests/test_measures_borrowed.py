"""The live network on loan: other people's modules and optimizers, measured right and untouched."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import gradient_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from normlab.measures import (
    borrowed,
    measure_curvature,
    measure_gradients,
    measure_ics,
    measure_landscape,
    protected,
)

Loss = Callable[[Any, Any], Tensor]


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(16, 8, dtype=torch.float64, generator=generator)
    return inputs, torch.randint(3, (16,), generator=generator)


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """The same network at each call, which need not be one that can be copied."""
    torch.manual_seed(2)
    return build().double()


def gradients_at(
    build: Callable[[], nn.Module], values: dict[str, Tensor], loss: Loss = cross_entropy
) -> dict[str, Tensor]:
    """By a fresh network with these parameters."""
    model = seeded(build)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values[name])
    inputs, targets = batch()
    loss(model(inputs), targets).backward()
    return {n: gradient_of(p).clone() for n, p in model.named_parameters()}


def twin_shift(
    build: Callable[[], nn.Module],
    step: Callable[[nn.Module], dict[str, Tensor]],
    weight: str,
    earlier: list[str],
) -> tuple[float, float]:
    """(||G - G'||, ||update||) of one weight by three networks that never meet."""
    before = {n: p.detach().clone() for n, p in seeded(build).named_parameters()}
    after = step(seeded(build))
    first = gradients_at(build, before)[weight]
    second = gradients_at(build, before | {name: after[name] for name in earlier})[weight]
    return (first - second).norm().item(), (after[weight] - before[weight]).norm().item()


def stepped(optimizer: Callable[[nn.Module], Any]) -> Callable[[nn.Module], dict[str, Tensor]]:
    def step(model: nn.Module) -> dict[str, Tensor]:
        inputs, targets = batch()
        stepper = optimizer(model)
        cross_entropy(model(inputs), targets).backward()
        stepper.step()
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    return step


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.b(torch.relu(self.a(inputs)))
        return outputs


class InPlace(Net):
    """Writes to what it is given."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.mul_(0.5).add_(1))


class Asking(nn.Module):
    """Normalizes by the batch where gradients are recorded, as textbooks write it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(12)

    def forward(self, inputs: Tensor) -> Tensor:
        self.norm.train(torch.is_grad_enabled())
        outputs: Tensor = self.norm(inputs)
        return outputs


class Counting(Net):
    """What it computes depends on how often it ran, and it keeps what it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.kept: dict[str, list[Tensor]] = {"features": []}
        self.mean = torch.zeros(12, dtype=torch.float64)

    def forward(self, inputs: Tensor) -> Tensor:
        self.runs += 1
        features = torch.relu(self.a(inputs)) / self.runs - self.mean
        self.kept["features"].append(features)
        self.features = features
        self.mean.add_(features.detach().mean(0))
        outputs: Tensor = self.b(features)
        return outputs


class Drawing(Net):
    """Draws from every generator there is, and from one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(5)

    def forward(self, inputs: Tensor) -> Tensor:
        scale = torch.rand(1, generator=self.own, dtype=torch.float64) + torch.rand(1)
        scale = scale + random.random() + np.random.rand()  # noqa: NPY002
        return super().forward(inputs * scale)


class Closing(nn.Module):
    """Calls its second layer through a closure, which a copy would leave at the original."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 3)
        self.tail: Callable[[Tensor], Tensor] = lambda hidden: self.b(torch.relu(hidden))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.tail(self.a(inputs))
        return outputs


def sequential(middle: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 12), middle(), nn.ReLU(), nn.Linear(12, 3))


def pruned() -> nn.Module:
    model = Net()
    prune.l1_unstructured(model.b, "weight", 0.5)
    return model


def weight_normed() -> nn.Module:
    model = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.b)
    return model


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = torch.jit.script(Net())
        return network


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "writes to its input": (InPlace, "b.weight"),
    "asks whether gradients are on": (lambda: sequential(Asking), "3.weight"),
    "counts its runs": (Counting, "b.weight"),
    "a closure": (Closing, "b.weight"),
    "pruned": (pruned, "b.weight_orig"),
    "weight normalization": (weight_normed, "b.weight_v"),
    "scripted": (scripted, "b.weight"),
    "two names": (lambda: TwoNames(), "b.weight"),
}


class TwoNames(Net):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([self.a, self.b])

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers[1](torch.relu(self.layers[0](inputs)))
        return outputs


@pytest.mark.parametrize(("build", "weight"), NETWORKS.values(), ids=NETWORKS)
def test_networks_that_cannot_be_copied_equal_the_twin(
    build: Callable[[], nn.Module], weight: str
) -> None:
    first = [name for name, _ in seeded(build).named_parameters() if not name.startswith("b.")]
    earlier = [name for name in first if not name.startswith("3.")]
    expected, update = twin_shift(build, stepped(sgd), weight, earlier)
    model, (inputs, targets) = seeded(build), batch()
    shift = measure_ics(model, cross_entropy, (inputs, targets), sgd(model))
    row = shift[weight.removesuffix(".weight")]
    assert row.l2 == pytest.approx(expected, rel=1e-10)
    assert row.update_norm == pytest.approx(update, rel=1e-10)
    assert row.control == 0
    assert shift.repeats
    assert torch.equal(inputs, batch()[0])
    before = {n: p.detach().clone() for n, p in seeded(build).named_parameters()}
    gradients = gradients_at(build, before)
    landscape = measure_landscape(seeded(build), cross_entropy, (inputs, targets), [0.1])
    there = {name: before[name] - 0.1 * gradients[name] for name in before}
    moved = gradients_at(build, there)
    change = torch.stack([(moved[n] - gradients[n]).norm() for n in before]).norm().item()
    assert landscape.gradient_changes[0] == pytest.approx(change, rel=1e-10)
    assert landscape.control == 0
    assert torch.equal(inputs, batch()[0])
    (found,) = (
        row
        for row in measure_gradients(seeded(build), cross_entropy, [(inputs, targets)])
        if row.layer == weight.removesuffix(".weight")
    )
    assert found.norm == pytest.approx(gradients[weight].norm().item(), rel=1e-10)


def test_every_generator_is_replayed_and_comes_back() -> None:
    model = Drawing().double()
    python, numpy, own = random.getstate(), np.random.get_state(), model.own.get_state()  # noqa: NPY002
    shift = measure_ics(model, cross_entropy, batch(), sgd(model))
    assert shift.repeats
    assert shift["b"].control == 0
    assert random.getstate() == python
    assert str(np.random.get_state()) == str(numpy)  # noqa: NPY002
    assert torch.equal(model.own.get_state(), own)


class Clipped(torch.optim.SGD):
    """Clips before its step, by an argument that a copy's constructor would ask for."""

    def __init__(self, params: Any, lr: float, clip: float) -> None:
        super().__init__(params, lr=lr, momentum=0.9)
        self.clip = clip
        self.calls = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.calls += 1
        for group in self.param_groups:
            nn.utils.clip_grad_value_(group["params"], self.clip)
            group["lr"] *= 0.5
        super().step(closure)


class Wrapper:
    """Forwards to an optimizer inside, as Lookahead and mixed-precision wrappers do."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        self.count = 0

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.inner.param_groups

    def step(self) -> None:
        self.count += 1
        self.inner.step()


def hooked(model: nn.Module) -> torch.optim.Optimizer:
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
    return sgd(model)


def hooked_step(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = sgd(model)

    def clip(optimizer: object, args: object, keywords: object) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-2)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def scheduled(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)  # type: ignore[assignment]
    return optimizer


OPTIMIZERS: dict[str, Callable[[nn.Module], Any]] = {
    "arguments of its own": lambda model: Clipped(model.parameters(), 0.1, 1e-3),
    "a wrapper": lambda model: Wrapper(torch.optim.Adam(model.parameters(), lr=0.1)),
    "hooks on parameters": hooked,
    "hooks on its step": hooked_step,
    "a scheduler": scheduled,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_step_is_the_optimizer_s_own(optimizer: Callable[[nn.Module], Any]) -> None:
    after = stepped(optimizer)(seeded(Net))
    before = {n: p.detach().clone() for n, p in seeded(Net).named_parameters()}
    model = seeded(Net)
    stepper = optimizer(model)
    inner = getattr(stepper, "inner", stepper)
    groups = [dict(group) for group in inner.param_groups]
    attributes = {k: v for k, v in vars(stepper).items() if isinstance(v, int | float)}
    row = measure_ics(model, cross_entropy, batch(), stepper)["b"]
    update = (after["b.weight"] - before["b.weight"]).norm().item()
    assert row.update_norm == pytest.approx(update, rel=1e-12)
    assert row.control == 0
    assert not inner.state
    assert [dict(group) for group in inner.param_groups] == groups
    assert {k: v for k, v in vars(stepper).items() if isinstance(v, int | float)} == attributes
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


class NeedsClosure(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is not None, "sharpness-aware: closure"


def test_steps_that_cannot_be_taken_are_refused_with_the_reason() -> None:
    model = seeded(Net)
    with pytest.raises(ValueError, match=r"step of LBFGS needs 'closure'.*no closure"):
        measure_ics(model, cross_entropy, batch(), torch.optim.LBFGS(model.parameters()))
    needy = NeedsClosure(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"step of NeedsClosure.*failed: sharpness-aware: clos"):
        measure_ics(model, cross_entropy, batch(), needy)
    optimizer = sgd(model)
    model.a.weight.register_post_accumulate_grad_hook(lambda _: optimizer.step())  # type: ignore[operator, union-attr]
    with pytest.raises(ValueError, match=r"a\.weight has a hook that runs inside the backward"):
        measure_ics(model, cross_entropy, batch(), optimizer)


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """All that must be the very same after a loan."""
    tensors = [*model.parameters(), *model.buffers()]
    return [
        [(id(t), t.data_ptr(), t._version, t.stride(), t.requires_grad) for t in tensors],
        [id(p.grad) for p in model.parameters()],
        [t.detach().clone().tolist() for t in tensors],
        [{k: id(v) for k, v in vars(m).items()} for m in model.modules()],
        [{k: id(v) for k, v in m._buffers.items()} for m in model.modules()],
        [[id(h) for h in m._forward_hooks.values()] for m in model.modules()],
        [id(entry) for entry in optimizer.state.values()],
        [v.tolist() for entry in optimizer.state.values() for v in entry.values()],
        torch.get_rng_state().tolist(),
    ]


def change_all(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    inputs, targets = batch()
    for _ in range(2):
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    model.eval().requires_grad_(False)
    for module in model.modules():
        module.mark = object()  # type: ignore[assignment]
        module.register_forward_hook(lambda *_: None)
    model[1].running_mean = torch.ones(12, dtype=torch.float64)  # type: ignore[index]
    model[0].weight.data = torch.zeros(12, 8, dtype=torch.float64)  # type: ignore[index]
    del model[3]._parameters["bias"]  # type: ignore[index]
    optimizer.param_groups[0]["lr"] = 3.0


class UnluckyError(Exception):
    pass


@pytest.mark.parametrize("error", [None, UnluckyError, KeyboardInterrupt])
def test_whatever_happens_on_loan_is_taken_back(error: type[BaseException] | None) -> None:
    model = seeded(lambda: sequential(lambda: nn.BatchNorm1d(12)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    inputs, targets = batch()
    cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    groups = [dict(group) for group in optimizer.param_groups]
    before = everything(model, optimizer)
    raised = pytest.raises(error) if error else warnings.catch_warnings()
    with raised, borrowed(model, optimizer) as loan:
        assert all(parameter.grad is None for parameter in model.parameters())
        start = model(inputs).detach().clone()
        loan.restart()
        cross_entropy(model(inputs), targets).backward()
        loan.restart()
        assert all(parameter.grad is None for parameter in model.parameters())
        change_all(model, optimizer)
        loan.restart()
        assert torch.equal(model(inputs), start)
        change_all(model, optimizer)
        if error:
            raise error
    assert everything(model, optimizer) == before
    assert [dict(group) for group in optimizer.param_groups] == groups


def test_memory_that_tensors_share_is_shared_on_loan() -> None:
    model = nn.Module()
    model.flat = torch.arange(6.0)
    model.register_buffer("grid", torch.zeros(1).expand(4, 8))
    model.weight = nn.Parameter(model.flat[:4].view(2, 2))
    with borrowed(model) as loan:
        model.flat.mul_(2)
        assert model.weight.tolist() == [[0.0, 2.0], [4.0, 6.0]]
        assert model.grid.stride() == (0, 0)  # type: ignore[operator]
        loan.restart()
        assert model.weight.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert model.weight.data_ptr() == model.flat.data_ptr()
    assert model.flat.tolist() == list(range(6))


def test_a_graph_that_was_under_way_can_be_gone_on_with() -> None:
    model, (inputs, targets) = seeded(Net), batch()
    expected = gradients_at(Net, {n: p.detach() for n, p in model.named_parameters()})
    loss = cross_entropy(model(inputs), targets)
    measure_ics(model, cross_entropy, (inputs, targets), sgd(model))
    measure_landscape(model, cross_entropy, (inputs, targets), [0.1])
    loss.backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(gradient_of(parameter), expected[name])


def test_stages_that_talk_beside_what_flows_are_run_whole() -> None:
    class Keep(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            self.skip = super().forward(inputs)
            return torch.relu(self.skip)

    class Fetch(nn.Module):
        def __init__(self, kept: Keep) -> None:
            super().__init__()
            self.kept = [kept]

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs + self.kept[0].skip

    def build() -> nn.Module:
        keep = Keep(8, 12)
        return nn.Sequential(keep, nn.Linear(12, 12), Fetch(keep), nn.Linear(12, 3))

    earlier = ["0.weight", "0.bias", "1.weight", "1.bias"]
    expected, _ = twin_shift(build, stepped(sgd), "3.weight", earlier)
    model = seeded(build)
    row = measure_ics(model, cross_entropy, batch(), sgd(model))["3"]
    assert row.l2 == pytest.approx(expected, rel=1e-10)
    assert row.control == 0
    assert not hasattr(model[0], "skip")  # type: ignore[index]


def test_a_control_far_above_rounding_is_told() -> None:
    runs = []

    class Hidden(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            runs.append(1)
            return super().forward(inputs * len(runs))

    model = Hidden().double()
    with pytest.warns(UserWarning, match=r"zero-move control: the covariate shift of b .*closure"):
        shift = measure_ics(model, cross_entropy, batch(), sgd(model))
    assert shift.repeats is False
    with pytest.warns(UserWarning, match=r"zero-move control: the landscape"):
        found = measure_landscape(model, cross_entropy, batch(), [0.1])
    assert found.repeats is False
    unasked = measure_ics(model, cross_entropy, batch(), sgd(model), control=False)
    assert unasked.repeats is None


def test_inference_mode_is_left_for_measuring_and_told_of_where_it_cannot_be() -> None:
    model = seeded(Net)
    expected = measure_ics(model, cross_entropy, batch(), sgd(model))
    with torch.inference_mode():
        inputs, targets = batch()
        assert measure_ics(model, cross_entropy, (inputs, targets), sgd(model)) == expected
        measure_landscape(model, cross_entropy, (inputs, targets), [0.1])
        measure_curvature(model, cross_entropy, (inputs, targets), num_iterations=2)
        frozen = Net()
        frozen.a.weight.data = torch.ones(12, 8)
        unmeasurable = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match=r"made inside torch\.inference_mode\(\)"):
        measure_landscape(unmeasurable, cross_entropy, batch(), [0.1])
    lazy = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(ValueError, match="run one forward before measuring"):
        measure_landscape(lazy, cross_entropy, batch(), [0.1])


def test_reentrant_checkpoints_are_named() -> None:
    class Checkpointed(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            hidden = torch.relu(self.a(inputs))
            outputs: Tensor = checkpoint(self.b, hidden, use_reentrant=bool(self.reentrant))
            return outputs

    model = Checkpointed().double()
    for reentrant in (False, True):
        model.reentrant = reentrant  # type: ignore[assignment]
        for measure in (
            lambda: measure_ics(model, cross_entropy, batch(), sgd(model)),
            lambda: measure_landscape(model, cross_entropy, batch(), [0.1]),
            lambda: measure_gradients(model, cross_entropy, [batch()]),
        ):
            if reentrant:
                with pytest.raises(ValueError, match=r"with use_reentrant=True.*=False"):
                    measure()
            else:
                measure()


def test_a_batch_is_protected_however_it_is_nested() -> None:
    first, second = torch.ones(2), torch.zeros(3)
    record = SimpleNamespace(weights=[first], name="a")
    value = {"pair": (first, [second, first]), "record": record, "text": "b"}
    copy = protected(value)
    copy["pair"][0].add_(1)
    assert copy["pair"][1][1] is copy["pair"][0] is copy["record"].weights[0]
    assert first.tolist() == [1.0, 1.0]
    copy["record"].name = "c"
    copy["pair"][1].clear()
    assert record.name == "a"
    assert value["pair"][1][0] is second  # type: ignore[index]


class Dict(Net):
    """Takes one mapping, changes it, and writes to what lies in it."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(inputs.pop("values").mul_(2))


def changing(outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
    return cross_entropy(outputs, targets["labels"].clamp_(max=1))


def test_mappings_and_targets_are_protected() -> None:
    (values, labels), model = batch(), Dict().double()
    nested = {"values": values.clone()}, {"labels": labels.clone()}
    shift = measure_ics(model, changing, nested, sgd(model))
    assert shift["b"].control == 0
    measure_landscape(model, changing, nested, [0.1])
    measure_curvature(model, changing, nested, num_iterations=2)
    measure_gradients(model, changing, [nested])
    assert torch.equal(nested[0]["values"], values)
    assert torch.equal(nested[1]["labels"], labels)


def test_batches_that_are_none_are_refused() -> None:
    model = seeded(Net)

    def loader() -> Iterator[tuple[Tensor, Tensor]]:
        yield batch()

    for wrong, text in [
        (loader(), r"got a generator, which can be read only once.*next\(batches\)"),
        ((*batch(), 1), r"a batch is \(inputs, targets\), two things; got a tuple of 3"),
        ({"x": 1, "y": 2}, r"two things; got a dict of 2"),
        ((iter([1]), batch()[1]), r"the inputs of the batch are a list_iterator"),
    ]:
        for measure in (
            lambda wrong: measure_ics(model, cross_entropy, wrong, sgd(model)),
            lambda wrong: measure_landscape(model, cross_entropy, wrong, [0.1]),
            lambda wrong: measure_curvature(model, cross_entropy, wrong),
            lambda wrong: measure_gradients(model, cross_entropy, [wrong]),
        ):
            with pytest.raises(ValueError, match=text):
                measure(wrong)
    assert len(measure_gradients(model, cross_entropy, loader())) == 2


class Average:
    """An exponential average of a model's weights, kept up after each step."""

    def __init__(self, model: nn.Module) -> None:
        self.values = [parameter.detach().clone() for parameter in model.parameters()]
        self.module = torch.optim.swa_utils.AveragedModel(model)
        self.model = model
        self.num_updates = 0

    def update(self, *_: object) -> None:
        self.num_updates += 1
        self.module.update_parameters(self.model)
        for value, parameter in zip(self.values, self.model.parameters(), strict=True):
            value.lerp_(parameter.detach(), 0.5)


def test_what_follows_each_step_is_put_back() -> None:
    model = seeded(Net)
    optimizer, average, other = sgd(model), Average(model), Average(model)
    optimizer.register_step_post_hook(average.update)
    optimizer.register_step_post_hook(lambda *_: other_module.update_parameters(model))
    other_module = other.module
    kept = [value.clone() for value in [*average.values, *other_module.parameters()]]
    row = measure_ics(model, cross_entropy, batch(), optimizer)["b"]
    assert row.update_norm > 0
    assert average.num_updates == 0
    assert int(other_module.n_averaged) == int(average.module.n_averaged) == 0
    now = [*average.values, *other_module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))


class Criterion(nn.Module):
    """A loss with a state, a parameter and a memory of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))
        self.runs = 0

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.runs += 1
        self.mean.add_(outputs.detach().mean(0))
        scale = 1 + self.mean.sum() * self.runs
        return cross_entropy(outputs - self.centre, targets) * scale


def test_a_loss_may_keep_things_too() -> None:
    criterion = Criterion()
    closed: Loss = lambda outputs, targets: criterion(outputs, targets)  # noqa: E731
    expected = twin_shift_of_loss()
    for loss in (criterion, closed):
        model = seeded(Net)
        shift = measure_ics(model, loss, batch(), sgd(model))
        assert shift["b"].l2 == pytest.approx(expected, rel=1e-10)
        assert shift["b"].control == 0
        assert measure_landscape(model, loss, batch(), [0.1]).control == 0
        measure_curvature(model, loss, batch(), num_iterations=2)
        measure_gradients(model, loss, [batch(), batch()])
        assert criterion.runs == 0
        assert criterion.mean.tolist() == [0, 0, 0]
        assert criterion.centre.grad is None


def twin_shift_of_loss() -> float:
    before = {n: p.detach().clone() for n, p in seeded(Net).named_parameters()}
    first = gradients_at(Net, before, Criterion())
    earlier = {n: before[n] - 0.1 * first[n] for n in ("a.weight", "a.bias")}
    second = gradients_at(Net, before | earlier, Criterion())
    distance: float = (first["b.weight"] - second["b.weight"]).norm().item()
    return distance


def test_a_loss_that_speaks_of_the_model_speaks_of_the_moved_one() -> None:
    model = seeded(Net)

    def penalized(outputs: Tensor, targets: Tensor) -> Tensor:
        size = model.get_parameter("a.weight").square().sum()
        return cross_entropy(outputs, targets) * (1 + size)

    def gradient(values: dict[str, Tensor]) -> dict[str, Tensor]:
        plain = gradients_at(Net, values)
        twin, (inputs, targets) = seeded(Net), batch()
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter.copy_(values[name])
        loss = cross_entropy(twin(inputs), targets).item()
        size = values["a.weight"].square().sum()
        found = {name: value * (1 + size) for name, value in plain.items()}
        found["a.weight"] = found["a.weight"] + 2 * loss * values["a.weight"]
        return found

    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    first = gradient(before)
    second = gradient(before | {n: before[n] - 0.01 * first[n] for n in ("a.weight", "a.bias")})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    row = measure_ics(model, penalized, batch(), optimizer)["b"]
    expected = (first["b.weight"] - second["b.weight"]).norm().item()
    assert row.l2 == pytest.approx(expected, rel=1e-10)
    assert row.control == 0


def test_wrappers_in_wrappers_and_what_is_no_optimizer() -> None:
    model = seeded(Net)
    inner = torch.optim.Adam(model.parameters(), lr=0.1)
    measure_ics(model, cross_entropy, batch(), Wrapper(Wrapper(inner)))  # type: ignore[arg-type]
    assert not inner.state
    for wrong in (None, model.parameters()):
        with pytest.raises(ValueError, match="an optimizer has param_groups and a step; got a"):
            measure_ics(model, cross_entropy, batch(), wrong)  # type: ignore[arg-type]


def test_a_model_of_several_processes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model = seeded(Net)
        parallel = nn.parallel.DistributedDataParallel(model)
        expected = measure_ics(model, cross_entropy, batch(), sgd(model))["b"]
        alone = measure_ics(parallel, cross_entropy, batch(), sgd(parallel))["module.b"]
        assert (alone.l2, alone.cosine) == (expected.l2, expected.cosine)
        monkeypatch.setattr(parallel, "process_group", SimpleNamespace(size=lambda: 2))
        with pytest.raises(ValueError, match=r"spread over several processes.*model\.module"):
            measure_landscape(parallel, cross_entropy, batch(), [0.1])
    finally:
        torch.distributed.destroy_process_group()
