"""What measuring internal covariate shift costs, in plain training steps and beside its naive twin.

    python -m bench.ics

VGG-11 at a quarter of its width, batches of 128 images of 32 x 32, SGD, layers 2 to 9. The plain
step is PyTorch's own: zero_grad, forward, cross-entropy, backward, step, on kernels in the memory
order that training uses (channels-last on the CPU), and also in PyTorch's contiguous order, which
takes longer. All take turns in one process; of the plain steps between two probes the middle one
counts.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.timed_training import LEARNING_RATE, TimedTraining, initialize
from bench.timing import in_turn, ratio, seconds_of
from normlab.config import NormConfig
from normlab.measures import weight_gradients
from normlab.models.chain import weight_layers
from normlab.models.kit import Kit
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.none import NoNormConfig
from normlab.probes.base import StepView
from normlab.probes.ics import IcsConfig
from normlab.training.device import memory_format

NUM_ROUNDS = 15
AIMS = {"none": 1.2, "batch": 1.6}
AIM_AGAINST_TWIN = 5.0


def measure() -> list[dict[str, Any]]:
    """Entries {name, ratio, aim, detail}, three for each normalization."""
    norms = {"none": NoNormConfig(), "batch": BatchConfig()}
    return [entry for name, norm in norms.items() for entry in _measure(name, norm)]


def _measure(name: str, norm: NormConfig) -> list[dict[str, Any]]:
    training = IcsTraining(norm, memory_format(torch.device("cpu")))
    contiguous = IcsTraining(norm, torch.contiguous_format)
    seconds = in_turn(
        {
            "step": training.plain_steps,
            "contiguous step": contiguous.plain_steps,
            "probe": lambda: training.probed_step(control="never"),
            "controlled": lambda: training.probed_step(control="every"),
            "twin": training.twin,
        },
        num_rounds=NUM_ROUNDS,
        num_warmup_rounds=2,
    )
    medians = {key: statistics.median(values) * 1e3 for key, values in seconds.items()}
    in_steps = ratio(seconds["probe"], seconds["step"])
    controlled = ratio(seconds["controlled"], seconds["step"])
    in_contiguous_steps = ratio(seconds["probe"], seconds["contiguous step"])
    in_probes = ratio(seconds["twin"], seconds["probe"])
    return [
        {
            "name": f"ics, norm={name}, in plain steps",
            "ratio": in_steps.median,
            "aim": AIMS[name],
            "detail": f"{in_steps}; probe {medians['probe']:.1f} ms, "
            f"plain step {medians['step']:.1f} ms; {controlled.median:.2f} plain steps at a "
            "measurement with the zero-move control, by default the first of a run",
        },
        {
            "name": f"ics, norm={name}, in plain steps of contiguous kernels",
            "ratio": in_contiguous_steps.median,
            "aim": AIMS[name],
            "detail": f"{in_contiguous_steps}; such a step {medians['contiguous step']:.1f} ms",
        },
        {
            "name": f"ics, norm={name}, naive twin in probes",
            "ratio": in_probes.median,
            "aim": AIM_AGAINST_TWIN,
            "better": "higher",
            "detail": f"{in_probes}; twin {medians['twin']:.1f} ms: a whole pass a layer",
        },
    ]


class IcsTraining(TimedTraining):
    """A training with the probe of ICS, and with the plainest code for it."""

    def __init__(self, norm: NormConfig, order: torch.memory_format) -> None:
        generator = torch.Generator().manual_seed(0)
        model = VGG11Config(width=0.25).build(Kit(norm=norm), (3, 32, 32), 10)
        initialize(model, generator)
        model.to(memory_format=order)
        inputs = torch.randn(128, 3, 32, 32, generator=generator)
        super().__init__(model, inputs, torch.randint(10, (128,), generator=generator))
        self.probes = {
            control: IcsConfig(control=control).build(self.model, num_steps=1)
            for control in ("never", "every")
        }
        self.copy = copy.deepcopy(self.model)

    def probed_step(self, control: str) -> float:
        view = StepView(
            step=0,
            num_steps=1,
            model=self.model,
            inputs=self.inputs,
            targets=self.targets,
            loss=cross_entropy,
            optimizer=self.optimizer,
            learning_rate=LEARNING_RATE,
        )
        return self.measured_step(self.probes[control].measure(view))

    def twin(self) -> float:
        """Definition 2.1 as it reads: load mixed weights, run the whole network, once a layer."""
        before = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self._backward()
        gradients = weight_gradients(self.model)
        self.optimizer.step()
        after = {name: p.detach() for name, p in self.model.named_parameters()}
        return seconds_of(lambda: self._naive(gradients, before, after))

    def _naive(
        self,
        gradients: Mapping[str, Tensor],
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
    ) -> list[float]:
        names = list(before)
        shifts = []
        for layer, _ in weight_layers(self.copy)[1:]:
            weight = f"{layer}.weight"
            earlier = names[: names.index(weight)]
            mixed = {name: (after if name in earlier else before)[name] for name in names}
            self.copy.load_state_dict(mixed, strict=False)
            self.copy.zero_grad()
            cross_entropy(self.copy(self.inputs), self.targets).backward()
            moved = self.copy.get_parameter(weight).grad
            assert moved is not None
            shifts.append((moved - gradients[weight]).norm().item())
        return shifts


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']:40} {entry['ratio']:6.2f}  aim {entry['aim']}  {entry['detail']}")
