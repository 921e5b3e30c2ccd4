"""A setting says its default, meaning and bounds once, and everything reads them from there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from normlab.config import OptimizerConfig, RunConfig, choices, neutral, registry, setting
from normlab.config.run import CheckpointConfig, EvalConfig, NoiseConfig, RegularizerConfig
from normlab.config.settings import Bounds, Settings, described
from normlab.probes.ics import IcsConfig

COMPONENTS = [(group, cls) for group in registry.MODULES for cls in choices(group).values()]
SECTIONS: list[tuple[str, Any]] = [
    ("regularizer", RegularizerConfig),
    ("noise", NoiseConfig),
    ("eval", EvalConfig),
    ("checkpoint", CheckpointConfig),
]


@dataclass(frozen=True, kw_only=True)
class Base(Settings):
    KEY = "thing"

    size: float = setting(1.0, "How large.", above=0)
    steps: tuple[int, ...] | None = setting(None, "When.", at_least=1)
    share: float | str = neutral(0.5, "How much of it.", at_least=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Other(Base):
    size: float = 2.0
    steps: tuple[int, ...] | None = setting((3,), "At which.")


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"above": 0}, "greater than 0"),
        ({"at_least": 1}, "1 or greater"),
        ({"at_least": 0, "below": 1}, "at least 0 and less than 1"),
        ({"above": 0, "at_most": 1}, "greater than 0 and at most 1"),
        ({"at_least": 1, "at_most": 5}, "1 to 5"),
        ({"below": 2}, "less than 2"),
    ],
)
def test_bounds_in_words(limits: dict[str, float], text: str) -> None:
    assert str(Bounds(**limits)) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"size": 0}, "thing.size must be greater than 0; got 0."),
        ({"size": float("inf")}, "thing.size must be a finite number; got inf."),
        ({"steps": (1, 0)}, "thing.steps must be 1 or greater; got 0."),
        ({"share": 1}, "thing.share must be at least 0 and less than 1; got 1."),
    ],
)
def test_a_number_out_of_bounds_cannot_be_had(values: dict[str, Any], text: str) -> None:
    for cls in (Base, Other):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the text is compared below)
            cls(**values)
        assert str(refusal.value) == text


def test_null_words_and_what_is_within_are_let_through() -> None:
    assert Base(share="auto").steps is None
    assert Other(size=1e-9, share=0, steps=(1, 2)).size == 1e-9


def test_another_default_keeps_what_the_base_says() -> None:
    assert Other().size == 2.0
    assert described(Other)["size"] == described(Base)["size"]
    assert described(Other)["steps"].doc == "At which."
    assert described(Other)["steps"].bounds == Bounds(at_least=1)


def test_neutral_is_a_setting_with_the_neutral_value_declared() -> None:
    fields = {field.name: field for field in dataclasses.fields(Base)}
    assert fields["share"].metadata["neutral"] == 0.5
    assert "neutral" not in fields["size"].metadata


@pytest.mark.parametrize(("group", "cls"), COMPONENTS, ids=lambda one: getattr(one, "NAME", one))
def test_every_setting_of_every_component_says_what_it_means(group: str, cls: Any) -> None:
    for name, said in described(cls).items():
        assert said.doc.endswith("."), name


@pytest.mark.parametrize(
    ("group", "cls"), [*COMPONENTS, *SECTIONS], ids=lambda one: getattr(one, "NAME", str(one))
)
def test_every_bound_holds_whatever_the_class_checks_besides(group: str, cls: Any) -> None:
    """A `__post_init__` that forgot its base's would let these through."""
    for name, said in described(cls).items():
        if said.bounds is None or cls.__name__ == "SlurmConfig":
            continue
        for limit in (said.bounds.above, said.bounds.at_least):
            if limit is not None:
                value = limit - 1
                own = (value,) if name in ("keep", "steps") and group != "run" else value
                key = f"{group}.{cls.NAME}" if group == "probe" else group
                with pytest.raises(ValueError, match=rf"{key}\.{name} must be {said.bounds}; got"):
                    cls(**{name: own})


def test_a_setting_without_a_default_has_to_be_given() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(RunConfig)}
    assert fields["batch_size"] is dataclasses.MISSING
    assert OptimizerConfig.__dataclass_fields__["lr"].default is dataclasses.MISSING
    assert IcsConfig().key == "probe.ics"
