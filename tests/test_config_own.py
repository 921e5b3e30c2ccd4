"""Components of one's own: found in the folder one stands in, while one stands there."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.command_line import ROOT, run_script, train, working_in

from normlab.cli.main import HARNESS
from normlab.config import ScheduleConfig, choices
from normlab.config.errors import ConfigError

SCHEDULE = """
from dataclasses import dataclass

from normlab.config import ScheduleConfig, register


@register("{name}")
@dataclass(frozen=True, kw_only=True)
class OwnConfig(ScheduleConfig):
    def factor(self, step: int, num_steps: int) -> float:
        return {factor}
"""


def write_component(project: Path, name: str, factor: float = 0.5, head: str = "") -> None:
    file = project / "components" / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(head + SCHEDULE.format(name=name, factor=factor))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with a component, which we stand in."""
    folder = tmp_path / "first"
    write_component(folder, "halved")
    with working_in(folder):
        yield folder


def factor(name: str) -> float:
    schedule = choices("schedule")[name]()
    assert isinstance(schedule, ScheduleConfig)
    return schedule.factor(0, 1)


def test_files_beside_the_folder_do_not_stand_in_for_libraries(project: Path) -> None:
    (project / "colorsys.py").write_text("raise AssertionError('not the one that is meant')")
    path = list(sys.path)
    assert factor("halved") == 0.5
    assert sys.path == path
    spec = find_spec("colorsys")
    assert spec is not None
    assert not str(spec.origin).startswith(str(project))


def test_a_file_added_later_is_found_at_the_next_question(project: Path) -> None:
    assert "late" not in choices("schedule")
    write_component(project, "late", factor=0.25)
    assert factor("late") == 0.25
    assert list(choices("schedule"))[-2:] == ["halved", "late"]


def test_each_folder_has_its_own_alone(project: Path, tmp_path: Path) -> None:
    """Two of one name too."""
    other = tmp_path / "second"
    write_component(other, "halved", factor=0.75)
    write_component(other, "further")
    assert factor("halved") == 0.5
    with working_in(other):
        assert factor("halved") == 0.75
        assert "further" in choices("schedule")
    with working_in(tmp_path):
        assert not {"halved", "further"} & choices("schedule").keys()
    assert factor("halved") == 0.5
    assert "further" not in choices("schedule")


def test_files_take_from_their_neighbours(project: Path) -> None:
    (project / "components" / "shared.py").write_text("FACTOR = 0.125")
    text = SCHEDULE.format(name="sharing", factor="FACTOR")
    (project / "components" / "sharing.py").write_text(f"from .shared import FACTOR\n{text}")
    assert factor("sharing") == 0.125


def test_a_process_that_expects_them_reads_what_it_is_sent(project: Path) -> None:
    sent = pickle.dumps(choices("schedule")["halved"]())
    read = f"import pickle; print(pickle.loads({sent!r}).factor(0, 1))"
    expecting = f"from normlab.config.registry import expect_own; expect_own(); {read}"
    done = subprocess.run([sys.executable, "-c", expecting], capture_output=True, text=True)
    assert done.stdout == "0.5\n", done.stderr


def test_the_name_of_a_packed_one_is_refused(project: Path) -> None:
    write_component(project, "cosine")
    with pytest.raises(ConfigError) as refusal:
        choices("schedule")
    assert str(refusal.value) == (
        "schedule=cosine is registered twice: as normlab.training.schedules.CosineConfig and as "
        "OwnConfig in components/cosine.py. Rename one."
    )


BROKEN = {
    "import no_such_library\n": "ModuleNotFoundError: No module named 'no_such_library' (line 1)",
    "import yaml\nfrom math import tau_2\n": (
        "ImportError: cannot import name 'tau_2' from 'math' ({math}) (line 2)"
    ),
    "def f(:\n": "SyntaxError: invalid syntax (halved.py, line 1)",
    "x = 1\nprint(y)\n": "NameError: name 'y' is not defined (line 2)",
}


@pytest.mark.parametrize("head", BROKEN)
def test_a_file_that_cannot_be_imported_is_named(project: Path, head: str) -> None:
    import math

    write_component(project, "halved", head=head)
    with pytest.raises(ConfigError) as refusal:
        choices("norm")
    text = BROKEN[head].format(math=getattr(math, "__file__", "unknown location"))
    assert str(refusal.value) == f"components/halved.py: {text}"
    write_component(project, "halved")
    assert factor("halved") == 0.5


def test_every_command_names_it(project: Path) -> None:
    write_component(project, "halved", head="import no_such_library\n")
    told = "components/halved.py: ModuleNotFoundError: No module named 'no_such_library'"
    ended = [
        train("model=mlp", "norm=batch", "steps=1", "tracker=none", cwd=project),
        train("-m", "model=mlp", "norm=none,batch", "steps=1", "tracker=none", cwd=project),
        train("--help", cwd=project),
        run_script("zoo.py"),
        run_script("experiment.py", "plan", "demo"),
        run_script("experiment.py", "run", "demo"),
    ]
    for one in ended:
        assert (one.code, one.out) == (2, "")
        assert one.err.startswith(f"error: {told} (line 1)")
        assert one.err.count("\n") == 1
    assert told in run_script("data.py", "cifar10").err


def test_the_extra_that_is_named_brings_what_is_missing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = [Requirement(text).name for text in project["optional-dependencies"]["harness"]]
    brought = metadata.packages_distributions()
    found = {canonicalize_name(brought[name][0]) for name in HARNESS}
    assert found == {*map(canonicalize_name, extra), "omegaconf"}
