"""Every registered model, norm and init has its YAML, and the YAML says the defaults."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from normlab.config import Component, choices

CONFIGS = Path(__file__).parents[1] / "configs"
GROUPS = ("model", "norm", "init")
CHOICES = [(group, name, config) for group in GROUPS for name, config in choices(group).items()]


@pytest.mark.parametrize(("group", "name", "config"), CHOICES, ids=[c[1] for c in CHOICES])
def test_yaml_lists_every_field_with_its_default(
    group: str, name: str, config: type[Component]
) -> None:
    path = CONFIGS / group / f"{name}.yaml"
    assert path.read_text().startswith("# ")
    written = yaml.safe_load(path.read_text())
    assert written.pop("name") == name
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    lists = {key: tuple(value) for key, value in written.items() if isinstance(value, list)}
    assert {**written, **lists} == defaults
    config(**{**written, **lists})


@pytest.mark.parametrize("group", GROUPS)
def test_no_yaml_without_a_choice(group: str) -> None:
    assert {path.stem for path in (CONFIGS / group).glob("*.yaml")} == set(choices(group))
