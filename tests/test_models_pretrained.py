"""Trained networks to put batch normalization into: torchvision's, and runs of our own."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from support.runs import carried_out, planned

from normlab.models.chain import weight_layers
from normlab.models.fitting import misfit
from normlab.models.pretrained import pretrained_vgg
from normlab.models.surgery import insert_batch_norm
from normlab.records.folder import RunFolder
from normlab.training.trained import load_trained


def test_a_run_of_ours_takes_batch_norm_without_a_change(results_dir: Path) -> None:
    run = planned("norm=none", "checkpoint.keep_final=true", results_dir=results_dir)
    carried_out(run)
    config, model = load_trained(RunFolder(run.folder.path))
    assert config == run.config
    assert not model.training
    inputs = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    layers = [name for name, _ in weight_layers(model)]
    changed = insert_batch_norm(model, layers, [inputs[:32], inputs[32:]])
    before, after = model(inputs), changed(inputs)
    assert (after - before).abs().max() < 1e-5 * before.abs().max()


def test_the_network_is_the_one_that_was_evaluated_last(results_dir: Path) -> None:
    from normlab.data import load

    run = planned("norm=batch", "checkpoint.keep_final=true", results_dir=results_dir)
    carried_out(run)
    config, model = load_trained(run.folder)
    data = load(config.data, size=None, dtype=torch.float32, device="cpu")
    share = (model(data.test_inputs).argmax(1) == data.test_targets).double().mean().item()
    assert run.folder.status()["summary"]["test/accuracy"] == share


def test_a_run_without_its_checkpoint(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    text = r"needs a finished run that kept its checkpoint; the run is {} and has kept none"
    with pytest.raises(ValueError, match=text.format("missing")):
        load_trained(run.folder)
    carried_out(run)
    with pytest.raises(ValueError, match=text.format("finished")) as refusal:
        load_trained(run.folder)
    assert "Give checkpoint.keep_final=true" in str(refusal.value)


@pytest.mark.parametrize(
    "error", [URLError("no network"), RuntimeError("invalid hash value"), PermissionError("cache")]
)
def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(ValueError, match=r"vgg16-\w+\.pth could not be had") as refusal:
        pretrained_vgg("vgg16")
    assert re.search(r"Put that file into .*checkpoints, or take a network", str(refusal.value))


def test_downloaded_weights_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import vgg11

    with torch.device("meta"):
        state = vgg11(init_weights=False).state_dict()
    source = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(value.shape[:1], generator=source)
        .mul_(0.01)
        .view(-1, *(1,) * (value.dim() - 1))
        .expand(value.shape)
        for name, value in state.items()
    }
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *args, **kwargs: state
    )
    before = torch.get_rng_state()
    model = pretrained_vgg("vgg11")
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_other_networks() -> None:
    with pytest.raises(ValueError, match=r"are vgg11, vgg13, vgg16, vgg19; got 'vgg16_bn'\."):
        pretrained_vgg("vgg16_bn")


class Malicious:
    """Unpickled, it would leave a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.witness,)


def cached_vgg11(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Where torch's cache has torchvision's file, in a cache of the test's own."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder))
    path = folder / "checkpoints" / "vgg11-8a719046.pth"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_in_torchs_cache_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    path, witness = cached_vgg11(monkeypatch, tmp_path), tmp_path / "witness"
    torch.save(
        {"a": Malicious(witness)}, path, _use_new_zipfile_serialization=zipped, pickle_protocol=2
    )
    with pytest.raises(ValueError, match=re.escape(f"{path} is not torchvision's file")) as refusal:
        pretrained_vgg("vgg11")
    assert "Delete it: the next call downloads it anew." in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not witness.exists()
    torch.load(path, weights_only=False)  # the file is what it is feared to be
    assert witness.exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param({"a": torch.zeros(1)}, "it lacks features.0.weight (and 21 more)", id="other"),
        pytest.param([torch.zeros(1)], "it holds a list, not tensors by name", id="list"),
        pytest.param(b"", "EOFError", id="empty"),
        pytest.param(b"\0" * 1000, "Error", id="zeros"),
        pytest.param(b"<html>", "Error", id="page"),
    ],
)
def test_a_file_in_torchs_cache_that_is_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, text: str
) -> None:
    path = cached_vgg11(monkeypatch, tmp_path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=re.escape(str(path))) as refusal:
        pretrained_vgg("vgg11")
    assert text in str(refusal.value)


def test_a_state_that_does_not_fit_is_put_in_words() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = model.state_dict()
    assert misfit(model, state) is None
    cases: dict[str, dict[str, object]] = {
        "its 0.weight has (1,), the network's (3, 2)": {"0.weight": torch.zeros(1)},
        "its 0.weight is a list, not a tensor": {"0.weight": [0.0]},
        "its 0.bias is of torch.int64, the network's of torch.float32": {
            "0.bias": torch.zeros(3, dtype=torch.int64)
        },
        "it has 2.bias (and 1 more), which the network lacks": {"2.bias": 0, "2.weight": 0},
    }
    for text, other in cases.items():
        assert misfit(model, {**state, **other}) == text
