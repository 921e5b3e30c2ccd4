"""Small networks with a habit each that has been met in other people's code."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from foreign.network import Foreign, adam, images, plain_sgd, tokens, vectors

CLASSES = 5


class InPlaceFirst(nn.Module):
    """Writes to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x.mul_(0.5).add_(1)
        return self.b(torch.relu(self.a(x)))


class AsksForGradients(nn.Module):
    """Predicts where gradients are off: textbooks' batch normalization."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Any:
        self.bn.train(torch.is_grad_enabled())
        return self.bn(x)


class TextbookNorm(nn.Module):
    """Gamma and beta with a dimension for the batch."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, features))
        self.beta = nn.Parameter(torch.zeros(1, features))

    def forward(self, x: Tensor) -> Any:
        centred = x - x.mean(0)
        return self.gamma * centred / (x.var(0, unbiased=False) + 1e-5).sqrt() + self.beta


class Tied(nn.Module):
    """Reads words out by the table it wrote them in with."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.mix = nn.Linear(8, 8)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.table.weight
        self.head = nn.Linear(11, CLASSES)

    def forward(self, words: Tensor) -> Any:
        return self.head(self.out(torch.tanh(self.mix(self.table(words)))).mean(1))


class Recurrent(nn.Module):
    """The last state of a recurrent network."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.rnn = kind(6, 7, num_layers=2, batch_first=True)
        self.out = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.rnn(x)[0][:, -1])


class Checkpointed(nn.Module):
    """Computes its middle a second time in the backward."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.a, self.b, self.c = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)

    def middle(self, x: Tensor) -> Any:
        return torch.tanh(self.b(x))

    def forward(self, x: Tensor) -> Any:
        x = torch.tanh(self.a(x))
        return self.c(checkpoint(self.middle, x, use_reentrant=self.reentrant))


class TwoNames(nn.Module):
    """Its layers are attributes and stand in a list too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.layers = nn.ModuleList([self.first, self.second])

    def forward(self, x: Tensor) -> Any:
        return self.layers[1](torch.relu(self.layers[0](x)))


class ClosesOverItself(nn.Module):
    """Keeps a function that reads itself: a copy of it would read the original."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.function: Any = lambda x: self.b(torch.tanh(self.a(x)))

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class KeepsItsFeature(nn.Module):
    """Leaves an activation, graph and all, where others may read it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.features = torch.zeros(0)
        self.num_forwards = 0

    def forward(self, x: Tensor) -> Any:
        self.features = torch.relu(self.a(x))
        self.num_forwards += 1
        return self.b(self.features)


class OwnGenerator(nn.Module):
    """Draws its noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.noise = torch.Generator().manual_seed(7)

    def forward(self, x: Tensor) -> Any:
        hidden = self.a(x)
        noise = torch.randn(hidden.shape, generator=self.noise, dtype=hidden.dtype)
        return self.b(torch.tanh(hidden + 0.1 * noise))


class Complex(nn.Module):
    """Complex in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8, dtype=torch.cdouble)
        self.c = nn.Linear(8, CLASSES)

    def double(self) -> Complex:
        self.a.double()
        self.c.double()
        return self

    def forward(self, x: Tensor) -> Any:
        return self.c(self.b(torch.tanh(self.a(x)).to(torch.cdouble)).abs())


class Attention(nn.Module):
    """Attention with a class token and learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 6, 8) * 0.1)
        self.temperature = nn.Parameter(torch.ones(1, 1, 1))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.scale = nn.Parameter(torch.full((8,), 0.1))
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        read = self.norm(x)
        mixed, _ = self.attention(read, read, read, need_weights=False)
        return self.out((x + self.scale * mixed)[:, 0] * self.temperature[0, 0])


class SparseWords(nn.Module):
    """Gives its table sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8, sparse=True)
        self.mix, self.out = nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, words: Tensor) -> Any:
        return self.out(torch.tanh(self.mix(self.table(words).mean(1))))


class Functional(nn.Module):
    """Matrices without modules."""

    def __init__(self) -> None:
        super().__init__()
        self.V = nn.Parameter(torch.randn(8, 12) * 0.3)
        self.b = nn.Parameter(torch.zeros(12))
        self.W = nn.Parameter(torch.randn(12, CLASSES) * 0.3)

    def forward(self, x: Tensor) -> Any:
        return torch.tanh(x @ self.V + self.b) @ self.W


class ChannelsLast(nn.Module):
    """A block as in ConvNeXt: permuted to channels last, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 2, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm = nn.LayerNorm(6)
        self.up, self.act, self.down = nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 6)
        self.scale = nn.Parameter(torch.full((6,), 0.5))
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        inner = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        inner = self.scale * self.down(self.act(self.up(inner)))
        return self.out((x + inner.permute(0, 3, 1, 2)).mean((2, 3)))


class Translates(nn.Module):
    """torch's own transformer, encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.body(x, x[:, :3]).mean(1))


class StandardizedConv(nn.Conv2d):
    """Weight standardization with a gain (NF-ResNets): the weight itself is normalized."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))

    def forward(self, x: Tensor) -> Any:
        weight = F.batch_norm(
            self.weight.reshape(1, self.out_channels, -1),
            None,
            None,
            weight=self.gain.view(-1),
            training=True,
            momentum=0.0,
        ).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias)


class Doubled(nn.Module):
    """A parametrization: twice the parameter."""

    def forward(self, weight: Tensor) -> Any:
        return 2 * weight


class TwoInputs(nn.Module):
    """Reads a pair nested in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn, self.b = nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Linear(12, CLASSES)

    def forward(self, inputs: dict[str, Any]) -> Any:
        left, right = inputs["pair"]
        return self.b(torch.relu(self.bn(self.a(left + right.relu_()))))


class Shared(nn.Module):
    """One layer run three times: it has no one place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.again, self.b = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.a(x)
        for _ in range(3):
            x = torch.tanh(self.again(x))
        return self.b(x)


def halved(module: nn.Module, into: Any, out: Any) -> Any:
    return tuple(0.5 * gradient for gradient in into)


class HooksItself(nn.Module):
    """Forward hooks that change what flows, both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)
        self.a.register_forward_hook(lambda module, args, output: 2 * output)
        self.b.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
        self.c.register_full_backward_hook(halved)

    def forward(self, x: Tensor) -> Any:
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))


class ExpandedBuffer(nn.Module):
    """A buffer whose rows are one piece of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grid", torch.zeros(1).expand(4, 8), persistent=False)
        self.grid: Tensor
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.b(torch.tanh(self.a(x + self.grid[0])))


class ReplacesItsBuffer(nn.Module):
    """Counts its forwards by putting another tensor in the buffer's place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.register_buffer("steps", torch.zeros(()))
        self.steps: Tensor

    def forward(self, x: Tensor) -> Any:
        self.steps = self.steps + 1
        return self.b(torch.tanh(self.a(x) / self.steps))


class CannotBeCopied(nn.Module):
    """Holds a lock, which no copy can be made of."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Any:
        with self.lock:
            return self.b(torch.tanh(self.a(x)))


class Transposed(nn.Module):
    """A parameter that lies in memory column by column."""

    def __init__(self) -> None:
        super().__init__()
        self.V = nn.Parameter(torch.randn(12, 8).t() * 0.3)
        self.b = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.b(torch.tanh(x @ self.V))


class TwoHeads(nn.Module):
    """Gives two predictions and remembers to have done so in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)
        self.beside = nn.Linear(12, CLASSES)
        self.history: list[Any] = []

    def forward(self, x: Tensor) -> Any:
        hidden = torch.relu(self.a(x))
        outputs = {"main": self.b(hidden), "beside": self.beside(hidden)}
        self.history.append(tuple(outputs["main"].shape))
        return outputs


class SharedNorm(nn.Module):
    """One batch normalization at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)
        self.norm = nn.BatchNorm1d(12)

    def forward(self, x: Tensor) -> Any:
        x = torch.relu(self.norm(self.a(x)))
        return self.c(torch.relu(self.norm(self.b(x))))


class Idle(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.unused, self.b = nn.Linear(8, 12), nn.Linear(3, 3), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.b(torch.relu(self.a(x)))


class Clipped(torch.optim.SGD):
    """Takes an argument of its own, and clips in its step."""

    def __init__(self, parameters: Any, clip: float) -> None:
        super().__init__(parameters, lr=0.1, momentum=0.9)
        self.clip = clip

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            nn.utils.clip_grad_value_(group["params"], self.clip)
        return super().step(closure)


class Scripted(nn.Module):
    """What is compiled by torch.jit.script."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.b(torch.relu(self.a(x)))


def stack(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def mlp(first: nn.Module, last: nn.Module | None = None) -> nn.Module:
    return stack(first, nn.Tanh(), nn.Linear(12, 12), nn.ReLU(), last or nn.Linear(12, CLASSES))


def clamped() -> nn.Module:
    network = mlp(nn.Linear(8, 12))
    for parameter in network.parameters():
        parameter.register_hook(lambda gradient: gradient.clamp(-1e-2, 1e-2))
    return network


def pruned() -> nn.Module:
    network = mlp(nn.Linear(8, 12))
    prune.l1_unstructured(network[2], "weight", 0.5)  # type: ignore[index]
    return network


def parametrized() -> nn.Module:
    network = mlp(nn.Linear(8, 12))
    parametrize.register_parametrization(network[2], "weight", Doubled())  # type: ignore[index]
    return network


def frozen() -> nn.Module:
    network = mlp(nn.Linear(8, 12))
    network[0].requires_grad_(False)  # type: ignore[index]
    return network


def partly_evaluating() -> nn.Module:
    network = stack(
        nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 12), nn.BatchNorm1d(12),
        nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, CLASSES),
    )  # fmt: skip
    network[1].eval()  # type: ignore[index]
    return network


def convolutional() -> nn.Module:
    return stack(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
        nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        nn.LeakyReLU(inplace=True), nn.ConvTranspose2d(6, 4, 2), nn.GroupNorm(2, 4), nn.PReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES),
    )  # fmt: skip


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        return torch.jit.script(Scripted().double())


def weight_normed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.nn.utils.weight_norm` is deprecated")
        return mlp(nn.Linear(8, 12), weight_norm(nn.Linear(12, CLASSES)))


def projecting(parameters: Any) -> torch.optim.Optimizer:
    """Puts the weights back into a box after its step."""
    optimizer = plain_sgd(parameters)

    def project(stepped: torch.optim.Optimizer, args: Any, keywords: Any) -> None:
        with torch.no_grad():
            for parameter in stepped.param_groups[0]["params"]:
                parameter.clamp_(-0.2, 0.2)

    optimizer.register_step_post_hook(project)
    return optimizer


def sum_of_heads(outputs: Any) -> Tensor:
    both: Tensor = outputs["main"] + 0.3 * outputs["beside"]
    return both


def pairs(seed: int) -> tuple[Any, Any]:
    left, targets = vectors(8)(seed)
    right, _ = vectors(8)(seed + 1000)
    return {"pair": (left, right), "note": "kept"}, targets


HANDWRITTEN = [
    Foreign(name="in place first", build=InPlaceFirst, batch=vectors(8)),
    Foreign(
        name="asks for gradients",
        build=lambda: mlp(stack(nn.Linear(8, 12), AsksForGradients(12))),
        batch=vectors(8),
    ),
    Foreign(
        name="textbook norm",
        build=lambda: mlp(stack(nn.Linear(8, 12), TextbookNorm(12))),
        batch=vectors(8),
    ),
    Foreign(name="tied", build=Tied, batch=tokens(4, 11)),
    Foreign(name="lstm", build=lambda: Recurrent(nn.LSTM), batch=vectors(5, 6)),
    Foreign(name="gru", build=lambda: Recurrent(nn.GRU), batch=vectors(5, 6)),
    Foreign(name="checkpoint", build=lambda: Checkpointed(reentrant=False), batch=vectors(8)),
    Foreign(
        name="reentrant checkpoint",
        build=lambda: Checkpointed(reentrant=True),
        batch=vectors(8),
    ),
    Foreign(
        name="weight_norm hook",
        second_derivatives=False,
        build=weight_normed,
        batch=vectors(8),
    ),
    Foreign(
        name="weight_norm parametrization",
        second_derivatives=False,
        build=lambda: mlp(nn.Linear(8, 12), parametrizations.weight_norm(nn.Linear(12, CLASSES))),
        batch=vectors(8),
    ),
    Foreign(
        name="spectral_norm hook",
        build=lambda: mlp(spectral_norm(nn.Linear(8, 12))),
        batch=vectors(8),
    ),
    Foreign(
        name="spectral_norm parametrization",
        build=lambda: mlp(parametrizations.spectral_norm(nn.Linear(8, 12))),
        batch=vectors(8),
    ),
    Foreign(
        name="orthogonal",
        optimizer=plain_sgd,  # weight decay would make its householder diagonal, of ones, zero
        build=lambda: mlp(nn.Linear(8, 12), parametrizations.orthogonal(nn.Linear(12, CLASSES))),
        batch=vectors(8),
    ),
    Foreign(name="parametrized", build=parametrized, batch=vectors(8)),
    Foreign(name="pruned", build=pruned, batch=vectors(8)),
    Foreign(name="two names", build=TwoNames, batch=vectors(8)),
    Foreign(name="closes over itself", build=ClosesOverItself, batch=vectors(8)),
    Foreign(name="keeps its feature", build=KeepsItsFeature, batch=vectors(8)),
    Foreign(name="own generator", build=OwnGenerator, batch=vectors(8)),
    Foreign(name="complex", build=Complex, batch=vectors(8), optimizer=plain_sgd),
    Foreign(name="attention", build=Attention, batch=vectors(5, 8), feature_axis=-1),
    Foreign(name="sparse words", build=SparseWords, batch=tokens(5, 20), optimizer=plain_sgd),
    Foreign(name="functional", build=Functional, batch=vectors(8), optimizer=adam),
    Foreign(
        name="channels last",
        build=ChannelsLast,
        batch=images(8),
        feature_axis=-1,
        blocks={"block": ("down", "depthwise")},
    ),
    Foreign(name="transformer", build=Translates, batch=vectors(5, 8), feature_axis=-1),
    Foreign(
        name="standardized",
        build=lambda: stack(
            StandardizedConv(3, 4),
            nn.ReLU(),
            StandardizedConv(4, 4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, CLASSES),
        ),
        batch=images(8),
    ),
    Foreign(name="nested inputs", build=TwoInputs, batch=pairs),
    Foreign(name="shared layer", build=Shared, batch=vectors(8)),
    Foreign(name="replaces its buffer", build=ReplacesItsBuffer, batch=vectors(8)),
    Foreign(name="cannot be copied", build=CannotBeCopied, batch=vectors(8)),
    Foreign(name="transposed", build=Transposed, batch=vectors(8), optimizer=adam),
    Foreign(name="two heads", build=TwoHeads, batch=vectors(8), logits=sum_of_heads),
    Foreign(name="shared norm", build=SharedNorm, batch=vectors(8)),
    Foreign(name="idle layer", build=Idle, batch=vectors(8)),
    Foreign(
        name="clips in its optimizer",
        build=lambda: mlp(nn.Linear(8, 12)),
        batch=vectors(8),
        optimizer=lambda parameters: Clipped(parameters, 1e-3),
    ),
    Foreign(
        name="hook on its optimizer",
        build=lambda: mlp(nn.Linear(8, 12)),
        batch=vectors(8),
        optimizer=projecting,
    ),
    Foreign(
        name="optimizer of a part",
        build=lambda: mlp(nn.Linear(8, 12)),
        batch=vectors(8),
        optimizer=lambda parameters: adam(list(parameters)[1:]),
    ),
    Foreign(name="module hooks", build=HooksItself, batch=vectors(8)),
    Foreign(name="parameter hooks", build=clamped, batch=vectors(8)),
    Foreign(name="expanded buffer", build=ExpandedBuffer, batch=vectors(8)),
    Foreign(
        name="partly frozen",
        build=frozen,
        batch=vectors(8),
    ),
    Foreign(name="partly evaluating", build=partly_evaluating, batch=vectors(8)),
    Foreign(name="convolutional", build=convolutional, batch=images(8)),
    Foreign(
        name="script",
        build=scripted,
        batch=vectors(8),
        watched="a",
    ),
]
