"""Components are found when they are asked for, each under one name."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
from support.runs import CONFIG_DIR

from normlab.config import ScheduleConfig, choices, register, registry

FRESH = f"""
import json, pathlib, sys
from normlab.config.compose import Composer
from normlab.config.convert import run_config
unknown_yet = [name for name in sys.modules if name.startswith("normlab.norms")]
composer = Composer(pathlib.Path({str(CONFIG_DIR)!r}))
config = run_config(composer.compose(["norm=group", "model=mlp"]))
print(json.dumps([unknown_yet, config.norm.NAME, config.model.NAME]))
"""


def test_a_run_is_composed_without_any_import_for_its_side_effect() -> None:
    ended = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [[], "group", "mlp"]


@pytest.mark.parametrize("group", registry.MODULES)
def test_every_group_has_choices_of_its_own_base(group: str) -> None:
    assert choices(group)
    for name, config in choices(group).items():
        assert (group, name) == (config.GROUP, config.NAME)


def test_choices_come_in_the_order_of_their_modules_whatever_was_imported_first() -> None:
    modules = [config.__module__ for config in choices("norm").values()]
    assert modules == sorted(modules)


@pytest.fixture
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._CHOICES, "schedule", choices("schedule"))


@pytest.mark.usefixtures("_as_before")
def test_a_name_stands_for_one_class_and_its_newest_definition() -> None:
    def defined(name: str) -> type[ScheduleConfig]:
        @register(name)
        @dataclass(frozen=True, kw_only=True)
        class HalvedConfig(ScheduleConfig):
            def factor(self, step: int, num_steps: int) -> float:
                return 0.5**step

        return HalvedConfig

    first, second = defined("halved"), defined("halved")
    assert first is not second
    assert choices("schedule")["halved"] is second
    with pytest.raises(ValueError, match=r"schedule=cosine is registered twice: as normlab\.") as e:
        defined("cosine")
    assert str(e.value).endswith("HalvedConfig. Rename one.")
