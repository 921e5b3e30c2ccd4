"""The list of every choice and setting: on the page, and behind --help."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.cli import zoo_text as zoo
from normlab.config import choices
from normlab.config.run import RunConfig

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
GROUPS = {group.name: group for group in zoo.groups(CONFIGS)}


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "zoo.md").read_text()
    assert written == zoo.markdown(CONFIGS), "run python scripts/zoo.py --output docs/zoo.md"


def test_every_group_and_every_choice_has_a_line() -> None:
    folders = {folder.name for folder in CONFIGS.iterdir() if folder.is_dir()}
    assert set(GROUPS) == folders
    page, text = zoo.markdown(CONFIGS), zoo.help_text(CONFIGS)
    for group in folders:
        names = {path.stem for path in (CONFIGS / group).glob("*.yaml")} | set(choices(group))
        assert {choice.name for choice in GROUPS[group].choices} == names
        for choice in GROUPS[group].choices:
            assert 10 < len(choice.line) < 250
            assert f"| `{group}={choice.name}` | " in page
            assert f"\n  {choice.name:14}  {choice.line[:20]}" in text


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_setting_of_every_choice_is_there_with_its_meaning(group: str) -> None:
    text = zoo.help_text(CONFIGS)
    for choice in GROUPS[group].choices:
        config = choices(group).get(choice.name)
        if config is not None:
            fields = {field.name for field in dataclasses.fields(config)}
            assert {setting.key.rpartition(".")[2] for setting in choice.settings} <= fields
        for setting in choice.settings:
            assert setting.word in text
            assert setting.doc, setting.key


def test_settings_of_a_run_are_all_there() -> None:
    keys = [setting.key.split(".") for setting in zoo.run_settings(CONFIGS)]
    found = {"_".join(words) if words[0] in GROUPS else words[0] for words in keys}
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    assert found == fields - set(GROUPS)
    assert [s.key for s in zoo.run_settings(CONFIGS) if not s.doc] == []


def test_choices_come_in_order_of_size() -> None:
    names = [choice.name for choice in GROUPS["model"].choices]
    sizes = [int(name.removeprefix("resnet")) for name in names if name.startswith("resnet")]
    assert sizes == sorted(sizes)


def test_a_field_means_what_it_or_the_base_that_declares_it_says() -> None:
    rms, sgd = zoo.meanings(choices("norm")["rms"]), zoo.meanings(choices("optimizer")["sgd"])
    assert rms["affine"] == "Learn a scale gamma for each feature; there is no shift."
    assert rms["eps"] == "Added to the variance inside the root."
    assert sgd["lr"] == "Learning rate, which the schedule multiplies."


def test_help_lists_choices_settings_and_hydras_own_flags() -> None:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), "--help"],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert zoo.help_text(CONFIGS) in finished.stdout
    for flag in ("--multirun,-m", "--cfg,-c", "--hydra-help"):
        assert flag in finished.stdout
    for line in zoo.help_text(CONFIGS).splitlines():
        assert len(line) <= zoo.WIDTH or " " not in line.strip()
