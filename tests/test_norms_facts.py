"""What a norm's configuration says about it holds for the layers it builds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from normlab.config import NormConfig, choices
from normlab.config.settings import described
from normlab.measures.statistics import EvaluatesBy, statistics_layers
from normlab.models.shapes import output_shape
from normlab.norms.base import Normalization, NormLayer
from normlab.norms.population import PopulationNorm

NORMS: dict[str, type[NormConfig]] = {
    name: norm for name, norm in choices("norm").items() if issubclass(norm, NormConfig)
}
OURS = {
    name: NORMS[name]
    for name in (
        *("none", "batch", "batch_noisy", "noise", "batch_ghost", "batch_renorm", "layer"),
        *("instance", "group", "rms", "lp", "batch_channel"),
    )
}
"""Those that the lists below speak of; another one needs no line here."""


def parts(norm: type[NormConfig]) -> list[nn.Module]:
    built = norm().build(4)
    return [] if built is None else [m for m in built.modules() if not isinstance(m, nn.Sequential)]


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_facts_hold_for_the_layers(norm: type[NormConfig]) -> None:
    layers = parts(norm)
    assert bool(layers) == norm.HAS_LAYERS
    assert all(isinstance(layer, NormLayer) for layer in layers)
    assert all(output_shape(layer, torch.Size((32, 4, 5, 5))) == (32, 4, 5, 5) for layer in layers)
    assert norm.EVALUATES_AS is None or norm.EVALUATES_AS in NORMS
    normalizations = [layer for layer in layers if isinstance(layer, Normalization)]
    can_be_undone = bool(normalizations) and all(
        isinstance(layer, PopulationNorm) and layer.UNDONE_BY_GAMMA_AND_BETA
        for layer in normalizations
    )
    assert (norm.EVALUATES_AS == "batch") == can_be_undone


def test_norms_that_are_one_function_in_evaluation() -> None:
    one_function = {"batch", "batch_ghost", "batch_renorm", "batch_noisy"}
    for name, norm in OURS.items():
        for other_name, other in OURS.items():
            expected = name == other_name or {name, other_name} <= one_function
            assert norm().is_in_evaluation(other()) == expected


def test_settings_on_what_parameters_mean_are_those_of_the_run_started_from() -> None:
    fixed = {
        name: {setting for setting, said in described(norm).items() if not said.free_at_start}
        for name, norm in OURS.items()
    }
    shared = {"eps", "affine", "position", "weight_standardization"}
    own = {
        "group": {"groups"},
        "lp": {"p", "unit_scale"},
        "batch_channel": {"groups", "estimate"},
    }
    assert fixed == {name: shared | own.get(name, set()) for name in OURS}


def test_layers_with_running_statistics_can_be_told_what_to_evaluate_by() -> None:
    keeping = {
        name for name, norm in OURS.items() if statistics_layers(nn.Sequential(*parts(norm)))
    }
    assert keeping == {"batch", "batch_ghost", "batch_renorm", "batch_noisy", "batch_channel", "lp"}
    for name, norm in OURS.items():
        can_be_told = any(isinstance(layer, EvaluatesBy) for layer in parts(norm))
        assert can_be_told == (name in keeping)
    assert not isinstance(nn.BatchNorm2d(4), EvaluatesBy)


def test_only_statistics_that_no_step_has_taken_need_a_run_before() -> None:
    frozen = {name for name, norm in NORMS.items() if hasattr(norm, "freeze_after")}
    for name, norm in NORMS.items():
        assert not norm().needs_trained_statistics
        if name in frozen:
            frozen_at_once: dict[str, Any] = {"freeze_after": 0}
            own = norm(**frozen_at_once)
            assert own.needs_trained_statistics
