import math

import pytest
import torch
import torch.nn.functional as F
from support.parts import gradient_of
from torch import Tensor, nn

from normlab.objectives import Penalty, accuracy, data_loss
from normlab.randomness import generator


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed, "test"), dtype=torch.float64)


def test_classification_is_the_mean_cross_entropy() -> None:
    outputs, targets = normal(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
    probabilities = outputs.exp() / outputs.exp().sum(1, keepdim=True)
    expected = -probabilities[range(6), targets].log().mean()
    torch.testing.assert_close(data_loss("classification")(outputs, targets), expected)
    uniform = data_loss("classification")(torch.zeros(5, 10), torch.arange(5))
    assert uniform.item() == pytest.approx(math.log(10), rel=1e-6)


def test_label_smoothing_mixes_targets_with_the_uniform_distribution() -> None:
    outputs, targets = normal(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
    mixed = 0.9 * F.one_hot(targets, 4) + 0.1 / 4
    expected = -(mixed * outputs.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(data_loss("classification", 0.1)(outputs, targets), expected)


def test_regression_is_the_squared_distance_summed_over_the_batch() -> None:
    outputs = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    targets = torch.tensor([[0.0, 4.0], [3.0, -1.0]])
    assert data_loss("regression")(outputs, targets).item() == 1 + 4 + 9


def test_label_smoothing_of_a_regression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Give regularizer.label_smoothing=0"):
        data_loss("regression", 0.1)


def test_accuracy_is_the_share_of_right_classes() -> None:
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [1.0, 0.0]])
    assert accuracy(outputs, torch.tensor([0, 1, 1, 0])).item() == 0.75


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(normal(5, 3)), nn.Parameter(normal(4, 2, 3, 3, seed=1))]


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.3), (0.02, 0.0), (0.02, 0.3)])
def test_penalty_and_its_gradient_equal_autograd(l1: float, l2: float) -> None:
    ours, twin = weights(), weights()
    penalty = Penalty(ours, l1=l1, l2=l2)
    value = torch.stack([l1 * w.abs().sum() + 0.5 * l2 * w.square().sum() for w in twin]).sum()
    value.backward()
    torch.testing.assert_close(penalty.value(), value.detach(), rtol=1e-12, atol=0)

    for weight in ours:
        weight.grad = torch.ones_like(weight)
    penalty.add_gradient_()
    for weight, reference in zip(ours, twin, strict=True):
        torch.testing.assert_close(weight.grad, 1 + gradient_of(reference), rtol=1e-12, atol=1e-12)
    assert penalty.active
    assert not penalty.value().requires_grad


def test_penalty_of_a_zero_weight_has_no_gradient() -> None:
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.zeros(3)
    penalty = Penalty([weight], l1=1.0, l2=1.0)
    penalty.add_gradient_()
    assert weight.grad.tolist() == [0, 0, 0]
    assert penalty.value().item() == 0


def test_penalty_leaves_weights_without_a_gradient_alone() -> None:
    trained, frozen = weights()
    trained.grad = torch.zeros_like(trained)
    Penalty([trained, frozen], l2=1.0).add_gradient_()
    assert torch.equal(trained.grad, trained.detach())
    assert frozen.grad is None


def test_no_penalty_is_inactive() -> None:
    assert not Penalty(weights()).active
    assert Penalty(weights()).value().item() == 0
