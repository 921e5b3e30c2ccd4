"""Every registered model, norm and init has its YAML, which says nothing twice."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from normlab.config import Component, choices
from normlab.config.source import completed

CONFIGS = Path(__file__).parents[1] / "configs"
GROUPS = ("model", "norm", "init")
CHOICES = [(group, name, config) for group in GROUPS for name, config in choices(group).items()]


@pytest.mark.parametrize(("group", "name", "config"), CHOICES, ids=[c[1] for c in CHOICES])
def test_yaml_says_the_name_and_every_default_is_the_dataclasss(
    group: str, name: str, config: type[Component]
) -> None:
    path = CONFIGS / group / f"{name}.yaml"
    assert path.read_text().startswith("# ")
    written = yaml.safe_load(path.read_text())
    assert written == {"name": name}
    values = completed(group, name, written)
    assert values.pop("name") == name
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    assert {**values, **lists} == defaults
    config(**{**values, **lists})


@pytest.mark.parametrize("group", GROUPS)
def test_no_yaml_without_a_choice(group: str) -> None:
    assert {path.stem for path in (CONFIGS / group).glob("*.yaml")} == set(choices(group))
