"""normlab as one installs it: a wheel in an environment of its own, away from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

LIGHT = """
import json, sys
import torch
import normlab
from normlab.measures import measure_ics
from normlab.norms import BatchConfig

model = torch.nn.Sequential(
    torch.nn.Linear(4, 8), BatchConfig().build(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
)
batch = torch.randn(16, 4), torch.randint(3, (16,))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
rows = measure_ics(model, torch.nn.functional.cross_entropy, batch, optimizer).rows
print(json.dumps({"file": normlab.__file__, "layers": [row.layer for row in rows]}))
"""

NOTEBOOK = """
import normlab

words = ("model=mlp", "norm=batch", "steps=4", "tracker=none")
assert normlab.compose(*words).steps == 4
run = normlab.train(*words)
assert run.state() == "finished"
assert list(normlab.runs("norm=batch")["run"]) == [run.name]
table = normlab.table(y="train/loss")
assert set(table["metric"]) >= {"train/loss"}
normlab.plot(table, y="train/loss").save("plot.png")
metric, _ = normlab.metrics.describe("ics/l2")
assert metric.label
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder to stand in."""

    environment: Path
    folder: Path

    def run(self, program: str, *words: str) -> str:
        done = self.tried(program, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tried(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        return subprocess.run(
            [str(self.environment / "bin" / program), *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A new environment with the wheel and all of this one's libraries, but not its normlab."""
    environment = tmp_path_factory.mktemp("harness") / "environment"
    site = install(wheel, environment)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join([*libraries, sysconfig.get_path("purelib")]))
    return environment


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """One with the wheel and what it requires without an extra, and nothing else."""
    environment = tmp_path_factory.mktemp("light") / "environment"
    site = install(wheel, environment)
    for one in required("torch", "numpy"):
        for top in {file.parts[0] for file in one.files or () if ".." not in file.parts}:
            source, link = Path(str(one.locate_file(top))), site / top
            if source.exists() and not link.exists():
                link.symlink_to(source)
    return environment


def install(wheel: Path, environment: Path) -> Path:
    """A new environment with the wheel alone; its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    options = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "install", *options, str(wheel)], check=True, capture_output=True)
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def required(*names: str) -> list[Distribution]:
    """Installed distributions by name, with all they require."""
    found: dict[str, Distribution] = {}
    queue = list(names)
    while queue:
        name = canonicalize_name(queue.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another platform
            continue
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append(requirement.name)
    return list(found.values())


@pytest.fixture
def installed(harness: Path, tmp_path: Path) -> Installed:
    return Installed(harness, tmp_path)


def test_the_light_core_needs_torch_and_numpy_alone(light: Path, tmp_path: Path) -> None:
    told = json.loads(Installed(light, tmp_path).run("python", "-c", LIGHT))
    assert Path(told["file"]).is_relative_to(light)
    assert told["layers"] == ["3"]
    for absent in ("hydra", "pandas", "pydantic", "rich", "torchvision", "wandb"):
        assert Installed(light, tmp_path).tried("python", "-c", f"import {absent}").returncode == 1


@pytest.mark.parametrize("command", ["train model=mlp", "experiment list", "runs ls", "zoo"])
def test_a_command_says_what_is_missing_without_the_harness(
    command: str, light: Path, tmp_path: Path
) -> None:
    done = Installed(light, tmp_path).tried("normlab", *command.split())
    assert done.returncode == 2
    assert done.stderr.endswith("pip install 'normlab[harness]'\n")
    assert "Traceback" not in done.stderr


def test_it_trains_where_one_stands_with_configs_and_experiments_of_ones_own(
    installed: Installed,
) -> None:
    own = installed.folder / "configs" / "norm" / "gentle.yaml"
    own.parent.mkdir(parents=True)
    own.write_text((ROOT / "configs" / "norm" / "batch.yaml").read_text() + "momentum: 0.01\n")
    shutil.copytree(ROOT / "experiments" / "demo", installed.folder / "experiments" / "mine")
    installed.run("normlab", "train", "model=mlp", "norm=gentle", "steps=3", "tracker=none")
    (run,) = (installed.folder / "results" / "runs").iterdir()
    assert (run / "metrics.parquet").exists()
    assert json.loads((run / "config.json").read_text())["norm"]["momentum"] == 0.01
    facts = json.loads((run / "provenance.json").read_text())
    assert facts["command"] == "normlab train model=mlp norm=gentle steps=3 tracker=none"
    assert run.name in installed.run("normlab", "runs", "ls", "norm=batch")
    listed = installed.run("normlab", "experiment", "list")
    assert "mine" in listed
    assert "santurkar_ics" in listed
    assert "at scale smoke" in installed.run("normlab", "experiment", "plan", "mine")


def test_a_repository_around_the_environment_is_not_recorded_as_ours(
    installed: Installed,
) -> None:
    around = installed.environment.parent
    author = ["-c", "user.name=n", "-c", "user.email=e"]
    (around / "own.txt").write_text("public\n")
    for words in (["init"], ["add", "own.txt"], [*author, "commit", "-m", "first"]):
        subprocess.run(["git", *words], cwd=around, check=True, capture_output=True)
    (around / "own.txt").write_text("secret\n")
    installed.run("normlab", "train", "model=mlp", "steps=2", "tracker=none")
    (run,) = (installed.folder / "results" / "runs").iterdir()
    recorded = json.loads((run / "provenance.json").read_text())
    assert not {"commit", "dirty", "diff", "untracked"} & recorded.keys()
    assert recorded["versions"]["normlab"]
    assert not (run / "diff.patch").exists()


def test_a_notebook_needs_nothing_but_the_door(installed: Installed) -> None:
    installed.run("python", "-c", NOTEBOOK)
    assert (installed.folder / "plot.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("normlab experiment run santurkar_i", "santurkar_ics"),
        ("normlab runs --res", "--results-dir"),
        ("normlab data cifar100", "cifar100"),
    ],
)
def test_tab_completes(installed: Installed, typed: str, offered: str) -> None:
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed))}
    found = installed.folder / "found"
    subprocess.run(
        [str(installed.environment / "bin" / "normlab")],
        cwd=installed.folder,
        env={**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(found)},
        check=True,
        capture_output=True,
    )
    assert offered in found.read_text()


def test_importing_normlab_imports_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import normlab; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    assert tops - sys.stdlib_module_names == {"normlab"}
