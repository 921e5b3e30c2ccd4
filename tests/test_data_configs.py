"""The YAML of configs/data and the command that gets data."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.data_files import write_image_folder

import normlab.data
from normlab.config import choices

REPOSITORY = Path(normlab.data.__file__).parents[3]


PRESETS = {"cifar10_jpeg": "image_folder"}


def test_every_data_set_has_its_yaml_and_the_reverse() -> None:
    files = {path.stem for path in (REPOSITORY / "configs" / "data").glob("*.yaml")}
    assert files - set(PRESETS) == set(choices("data"))


@pytest.mark.parametrize(("preset", "name"), PRESETS.items())
def test_a_preset_names_its_data_set_and_sets_what_differs(preset: str, name: str) -> None:
    content = yaml.safe_load((REPOSITORY / "configs" / "data" / f"{preset}.yaml").read_text())
    config = choices("data")[name]()
    assert content.pop("name") == name
    defaults = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert content
    assert all(content[key] != defaults[key] for key in content)


@pytest.mark.parametrize("name", sorted(choices("data")))
def test_yaml_says_the_name_and_nothing_that_the_dataclass_says(name: str) -> None:
    content = yaml.safe_load((REPOSITORY / "configs" / "data" / f"{name}.yaml").read_text())
    assert content == {"name": name}


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "data.py", *arguments],
        capture_output=True,
        text=True,
    )


def test_script_decodes_a_folder(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "pets", {"a": 2, "b": 1})
    done = run_script("image_folder", "--path", str(tmp_path / "pets"))
    assert done.returncode == 0
    assert done.stdout.startswith("data=image_folder: 3 + 3 images, sha256 ")
    assert (tmp_path / "pets.uint8.pt").is_file()


def test_script_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    done = run_script("image_folder", "--path", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        "error: data.path must hold train/CLASS/ and test/CLASS/ with images; "
        f"{tmp_path / 'train'} is not a folder.\n"
    )
