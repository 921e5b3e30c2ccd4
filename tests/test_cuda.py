"""What must hold on a CUDA device too; skipped, with the reason, on machines without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.ics_twin import naive_ics
from support.runs import assert_same_bits, carried_out, planned, prepared, state_of, trained
from torch.nn.functional import cross_entropy

from normlab.config import choices
from normlab.measures import measure_ics
from normlab.models.chain import weight_layers
from normlab.norms.base import connect
from normlab.randomness import Clock
from normlab.records.rows import COLUMNS
from normlab.training.device import set_exact_arithmetic

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this machine has no CUDA device"
)

DEVICE = "cuda"
NETWORKS = (
    ("model=mlp", "model.widths=[16,16]", "norm=batch", "dropout=0.3"),
    ("model=vgg11", "model.width=0.0625", "norm=batch"),
    ("model=vgg11", "model.width=0.0625", "norm=group", "norm.groups=2"),
    ("model=resnet20", "norm=batch", "data.limit=64"),
)
FEW = ("steps=4", "eval.every=2", "optimizer.momentum=0.9")


@pytest.mark.parametrize("words", NETWORKS, ids=" ".join)
def test_initial_weights_and_batches_are_those_of_the_cpu(words: tuple[str, ...]) -> None:
    _, _, here = prepared(*words)
    _, _, there = prepared(*words, device=DEVICE)
    for ours, theirs in zip(here.model.parameters(), there.model.parameters(), strict=True):
        assert torch.equal(ours, theirs.cpu())
    for step in (0, 3, 7):
        assert torch.equal(here.batches.at(step).targets, there.batches.at(step).targets.cpu())


@pytest.mark.parametrize("name", sorted(choices("norm")))
def test_a_norm_computes_what_it_does_on_the_cpu(name: str) -> None:
    """Outputs and input gradients to 1e-10 in float64; noise is drawn by each device itself."""
    if name in ("batch_noisy", "noise"):
        pytest.skip("draws on the device: other numbers than the CPU's")
    inputs = torch.randn(
        8, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    weights = torch.randn(
        inputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    settings: dict[str, Any] = {"groups": 2} if name in ("group", "batch_channel") else {}
    settings |= {"ghost_size": 4} if name == "batch_ghost" else {}
    found = []
    for device in ("cpu", DEVICE):
        layer = choices("norm")[name](**settings).build(4)
        if layer is None:
            pytest.skip("norm=none has no layer")
        connect(layer, 0, "norm", Clock())
        layer = layer.double().to(device)
        leaf = inputs.to(device).requires_grad_()
        outputs = layer(leaf)
        (outputs * weights.to(device)).sum().backward()
        assert leaf.grad is not None
        found.append((outputs.detach().cpu(), leaf.grad.cpu()))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("words", NETWORKS, ids=" ".join)
def test_training_twice_gives_the_same_bits(words: tuple[str, ...]) -> None:
    set_exact_arithmetic()
    one, other = (trained(*words, *FEW, device=DEVICE) for _ in range(2))
    assert_same_bits(state_of(one.setup), state_of(other.setup))
    assert one.rows.by_step == other.rows.by_step


@pytest.mark.parametrize("words", NETWORKS, ids=" ".join)
def test_probes_change_no_bit(words: tuple[str, ...]) -> None:
    set_exact_arithmetic()
    plain = trained(*words, *FEW, device=DEVICE)
    probed = trained(*words, *FEW, "probe=[ics,activations,gradients,weights]", device=DEVICE)
    assert_same_bits(state_of(plain.setup), state_of(probed.setup))


@pytest.mark.parametrize("words", NETWORKS, ids=" ".join)
def test_covariate_shift_is_its_naive_twin_s(words: tuple[str, ...]) -> None:
    _, _, setup = prepared(*words, "precision=float64", "dropout=0.0", device=DEVICE)
    batch = setup.batches.at(0)
    before = {name: value.detach().clone() for name, value in setup.model.named_parameters()}
    shift = measure_ics(setup.model, cross_entropy, (batch.inputs, batch.targets), setup.optimizer)
    setup.optimizer.zero_grad()
    cross_entropy(setup.model(batch.inputs), batch.targets).backward()
    setup.optimizer.step()
    after = {name: value.detach().clone() for name, value in setup.model.named_parameters()}
    order = list(before)
    weights = [f"{name}.weight" for name, _ in weight_layers(setup.model)][1:]
    pair = (batch.inputs, batch.targets)
    twin = naive_ics(setup.model, cross_entropy, pair, before, after, weights, order)
    for weight in weights:
        row = shift[weight.removesuffix(".weight")]
        assert row.l2 == pytest.approx(twin[weight].l2, rel=1e-8)
        assert row.cosine == pytest.approx(twin[weight].cosine, rel=1e-8)


def test_bfloat16_trains_with_float32_parameters() -> None:
    run = trained("model=vgg11", "model.width=0.0625", "precision=bfloat16", *FEW, device=DEVICE)
    assert run.diverged_at is None
    assert {value.dtype for value in run.parameters.values()} == {torch.float32}


def test_arithmetic_is_exact() -> None:
    set_exact_arithmetic()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


def test_a_run_carried_on_gives_the_same_bits(tmp_path: Path) -> None:
    words = (f"device={DEVICE}", "checkpoint.every=3", "norm=batch", "optimizer.momentum=0.9")
    whole = planned(*words, results_dir=tmp_path / "whole")
    parted = planned(*words, results_dir=tmp_path / "parted")
    assert carried_out(whole)[0].end == "finished"
    assert carried_out(parted, stop_at=5)[0].end == "interrupted"
    assert carried_out(parted)[0].end == "finished"
    assert (whole.folder.path / COLUMNS).read_bytes() == (parted.folder.path / COLUMNS).read_bytes()
