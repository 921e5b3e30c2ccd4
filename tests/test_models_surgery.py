"""Batch normalization inserted into trained networks."""

import numpy as np
import pytest
import torch
from support.parts import Parts
from torch import Tensor, nn

from normlab.init.gaussian import HeConfig
from normlab.models.chain import Chain, weight_layers
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.models.surgery import insert_batch_norm
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.norms.none import NoNormConfig

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def images(count: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 32, 32, generator=source, dtype=torch.float64).to(dtype) * 2 + 1


def trained(name: str, dtype: torch.dtype) -> Parts:
    """A network with biases away from 0, as training leaves them, and a dead unit."""
    kit = Kit(norm=NoNormConfig(), dropout=0.3)
    if name == "torchvision":
        from torchvision.models import vgg

        with torch.device("meta"):
            model = nn.Sequential(vgg.vgg11_bn().features, nn.Flatten(), nn.Linear(512, 10))
        model.to_empty(device="cpu")
    else:
        configs = (VGG11Config(width=0.25), ResNet20Config(), MLPConfig())
        config = {choice.NAME: choice for choice in configs}[name]
        model = config.build(kit, (3, 32, 32), 10)
    HeConfig().apply(model, None, 0)
    first = weight_layers(model)[0][1]
    with torch.no_grad():
        for seed, (_, layer) in enumerate(weight_layers(model)):
            if layer.bias is not None:
                source = torch.Generator().manual_seed(seed)
                layer.bias.copy_(torch.randn(layer.bias.shape, generator=source))
        first.weight[0] = 0
    return model.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["vgg11", "resnet20", "mlp", "torchvision"])
def test_evaluation_is_unchanged(name: str, dtype: torch.dtype) -> None:
    model = trained(name, dtype)
    layers = [layer for layer, _ in weight_layers(model)]
    changed: Parts = insert_batch_norm(model, layers, [images(8, dtype), images(4, dtype, seed=1)])
    new = images(6, dtype, seed=2)
    before, after = model.eval()(new), changed.eval()(new)
    assert (after - before).abs().max() < TOLERANCE[dtype] * before.abs().max()
    assert sum(isinstance(module, BatchNorm) for module in changed.modules()) == len(layers)
    assert not any(isinstance(module, BatchNorm) for module in model.modules())


def test_statistics_are_those_of_all_batches_together() -> None:
    model = trained("mlp", torch.float64)
    batches = [images(8, torch.float64), images(4, torch.float64, seed=1)]
    changed: Parts = insert_batch_norm(model, ["linear2"], batches, BatchConfig(eps=1e-3))
    model.eval()
    outputs = model.linear2(model.relu1(model.linear1(torch.cat(batches).flatten(1))))
    values = outputs.detach().numpy()
    norm = changed.linear2_norm
    np.testing.assert_allclose(norm.running_mean, values.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.running_var, values.var(0), rtol=1e-12)
    np.testing.assert_allclose(norm.weight.detach(), np.sqrt(values.var(0) + 1e-3), rtol=1e-12)
    np.testing.assert_allclose(norm.bias.detach(), values.mean(0), rtol=1e-12, atol=1e-12)


def test_dead_units_get_the_root_of_eps() -> None:
    changed: Parts = insert_batch_norm(
        trained("vgg11", torch.float64), ["conv1"], [images(4, torch.float64)]
    )
    assert changed.conv1_norm.running_var[0].item() == 0
    assert changed.conv1_norm.weight[0].item() == pytest.approx(1e-5**0.5)
    assert changed(images(4, torch.float64)).isfinite().all()


def test_names_and_places() -> None:
    inputs = [images(4, torch.float32)]
    chain: Parts = insert_batch_norm(trained("vgg11", torch.float32), ["conv2", "linear"], inputs)
    assert isinstance(chain, Chain)
    names = [name for name, _ in chain.named_children()]
    assert names[3:6] == ["conv2", "conv2_norm", "relu2"]
    assert names[-2:] == ["linear", "linear_norm"]
    block: Parts = insert_batch_norm(
        trained("resnet20", torch.float32), ["block4.shortcut"], inputs
    )
    assert [name for name, _ in block.block4.shortcut.named_children()] == ["layer", "norm"]


def test_training_mode_normalizes_by_the_batch_and_learns() -> None:
    model = trained("mlp", torch.float64)
    changed: Parts = insert_batch_norm(model, ["linear1"], [images(16, torch.float64)])
    assert changed.training
    assert changed.linear1_norm.training
    other = images(8, torch.float64, seed=5) * 3
    changed(other).sum().backward()
    assert changed.linear1_norm.weight.grad.abs().sum() > 0
    assert not torch.equal(changed.eval()(other), changed.train()(other))


def test_a_model_keeps_its_modes() -> None:
    model = trained("mlp", torch.float32).eval()
    changed: Parts = insert_batch_norm(model, ["linear1"], [images(4, torch.float32)])
    assert not any(module.training for module in changed.modules())


@pytest.mark.parametrize("name", ["conv9", "relu1", ""])
def test_names_that_are_no_weight_layers(name: str) -> None:
    with pytest.raises(ValueError, match="goes behind a convolutional or linear layer") as error:
        insert_batch_norm(trained("mlp", torch.float32), [name], [])
    assert f"{name!r} is none of this network's: linear1, linear2" in str(error.value)


def test_no_batches() -> None:
    with pytest.raises(ValueError, match=r"no batch reached linear1\. Give at least one batch"):
        insert_batch_norm(trained("mlp", torch.float32), ["linear1"], [])
