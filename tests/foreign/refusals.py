"""Which measures refuse which networks, in words that name what is in the way, and why it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Refusal:
    networks: tuple[str, ...]
    measures: tuple[str, ...]
    says: str
    """Pattern of the error's text."""
    why: str


REFUSALS = (
    Refusal(
        networks=("tied", "hf gpt2 tied"),
        measures=("ics",),
        says=r"(table|wte)\.weight .* used",
        why="What comes before a matrix that reads words in and out is also what comes after it.",
    ),
    Refusal(
        networks=("hf t5",),
        measures=("ics",),
        says=r"shared\.weight .* used",
        why="Encoder and decoder look words up in one table.",
    ),
    Refusal(
        networks=("shared layer", "hf albert"),
        measures=("ics",),
        says=r"(again|attention\.query) runs \d times",
        why="A layer that runs several times has several places in the order of layers.",
    ),
    Refusal(
        networks=("partly frozen",),
        measures=("gradients",),
        says=r"layer 0 .* frozen",
        why="A frozen weight has no gradient.",
    ),
    Refusal(
        networks=("idle layer",),
        measures=("ics",),
        says=r"unused does not run in the forward",
        why="What does not run has no place in the order of layers.",
    ),
    Refusal(
        networks=("idle layer",),
        measures=("gradients",),
        says=r"layer unused has no gradient .* ignores it",
        why="What does not run has no gradient.",
    ),
    Refusal(
        networks=("reentrant checkpoint",),
        measures=("ics", "landscape", "curvature", "gradients"),
        says=r"use_reentrant=True",
        why="torch gives no gradient of single parameters through it.",
    ),
    Refusal(
        networks=("torchvision mobilenet v3",),
        measures=("curvature",),
        says=r"scale_activation",
        why="torch knows no second derivative of the hard sigmoid.",
    ),
    Refusal(
        networks=("script",),
        measures=("activations",),
        says=r"a is a ScriptModule or part of one",
        why="The parts of a compiled module do not run as modules.",
    ),
)
"""Besides these, `measure_statistics` refuses every network without running statistics."""


def refusal(network: str, measure: str) -> str | None:
    """What a measure says of a network that it refuses."""
    for entry in REFUSALS:
        if network in entry.networks and measure in entry.measures:
            return entry.says
    return None
