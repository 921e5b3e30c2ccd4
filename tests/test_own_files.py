"""Files of one's own, wrong in any way: the answer names file, line and key; nothing is left."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.command_line import everything_in, normlab

EXPERIMENT = """title: t
set: {model: mlp, model.widths: [8], data: digits, data.limit: 64, batch_size: 32, steps: 2}
scales:
  smoke:
    seeds: 1
    arms:
      - product: {norm: [none, batch]}
"""
CLAIMS = """claims:
  - id: batch_helps
    statement: s
    source: s
    metric: test/accuracy
    treatment: {norm: batch}
    baseline: {norm: none}
    family: replication
    comparison: greater
    smallest_effect: 0.0
"""
FIGURE = """from normlab.figures import Panel, draw_panels


def draw(table):
    return draw_panels(table, [[Panel(y="test/accuracy")]])
"""
NORM = """from dataclasses import dataclass
from torch import nn
from normlab.config import NormConfig, register


@register("mine")
@dataclass(frozen=True, kw_only=True)
class MineConfig(NormConfig):
    @property
    def makes_bias_redundant(self):
        return False

    def build(self, num_features):
        BODY
"""

PLAN = "experiment plan mine"
Files = dict[str, str | bytes]


def experiment(
    old: str = "", new: str = "", *, claims: str | bytes = CLAIMS, figure: str = FIGURE
) -> Files:
    """A whole experiment with a part of its experiment.yaml, which has to be there, replaced."""
    assert old in EXPERIMENT
    return {
        "experiments/mine/experiment.yaml": EXPERIMENT.replace(old, new, 1) if old else EXPERIMENT,
        "experiments/mine/claims.yaml": claims,
        "experiments/mine/figure.py": figure,
    }


def bare(content: str | bytes) -> Files:
    return {**experiment(), "experiments/mine/experiment.yaml": content}


def own(content: str | bytes, file: str = "configs/norm/mine.yaml") -> Files:
    return {file: content}


def norm(body: str, old: str = "", new: str = "") -> Files:
    code = NORM.replace("BODY", body)
    assert old in code
    return {"components/mine.py": code.replace(old, new), "configs/norm/mine.yaml": "name: mine"}


YAML = "experiments/mine/experiment.yaml"
EXAMPLE = "Such as:\n\n    title: Batch normalization trains faster\n"

EXPERIMENTS: list[tuple[Files, str]] = [
    (bare(""), f"{YAML}: the file is empty."),
    (bare("# nothing but this\n"), f"{YAML}: the file is empty."),
    (bare("- a"), f"{YAML}: must be settings under keys; got ['a']. {EXAMPLE}"),
    (bare("hello"), f"{YAML}: must be settings under keys; got 'hello'. {EXAMPLE}"),
    (bare("titel: x"), f"{YAML}, line 1: titel: there is no such key. Did you mean 'title'?"),
    (bare("title: x"), f"{YAML}: needs the key scales. {EXAMPLE}"),
    (experiment("title: t\n"), f"{YAML}: needs the key title. {EXAMPLE}"),
    (experiment("title: t", "title: [a]"), f"{YAML}, line 1: title must be text; got ['a']."),
    (experiment("title: t", "title: 3"), f"{YAML}, line 1: title must be text; got 3."),
    (
        experiment("    seeds", "\tseeds"),
        f"{YAML}: not valid YAML: line 5: found character '\\t' that cannot start any token. YAML "
        "is indented with spaces; replace the tab.",
    ),
    (
        experiment("title: t", "title: !!python/object:os.system t"),
        f"{YAML}, line 1: plain values alone are taken; got one of type !!python/object:os.system. "
        "Leave the tag out.",
    ),
    (
        experiment("norm: [none", "norm: [!mine none"),
        f"{YAML}, line 7: plain values alone are taken; got one of type !mine.",
    ),
    (
        experiment("model: mlp", "model: 2024-01-01"),
        f"{YAML}, line 2: plain values alone are taken; got one of type !!timestamp. Put quotation "
        "marks around 2024-01-01.",
    ),
    (bare(b"\x89PNG\r\n\x1a\n\xff"), f"{YAML}: not a text in UTF-8: byte 0 is 0x89."),
    (bare("title: \x00"), f"{YAML}: not valid YAML: unacceptable character #x0000"),
    (bare("title: [a"), f"{YAML}: not valid YAML: line 1: expected ',' or ']'"),
    (bare("title: 'a"), f"{YAML}: not valid YAML: line 1: found unexpected end of stream"),
    (bare("[" * 1500), f"{YAML}: not valid YAML: brackets within brackets without end."),
    (bare("a: &a [*a]"), f"{YAML}, line 1: an alias that stands for itself, or for too much."),
    (
        bare(
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "\n".join(
                f"{b}: &{b} [{','.join(f'*{a}' for _ in range(10))}]"
                for a, b in zip("abcde", "bcdef", strict=True)
            )
        ),
        "an alias that stands for itself, or for too much. Write it out.",
    ),
    (bare("title: t\n---\ntitle: u"), f"{YAML}: not valid YAML: line 2: a second document begins"),
    (bare("1: t"), f"{YAML}, line 1: a key is a word; got 1. Put quotation marks around it."),
    (bare("yes: t"), f"{YAML}, line 1: a key is a word; got yes."),
    (
        experiment("title: t\n", "title: t\ntitle: u\n"),
        f"{YAML}, line 2: the key title stands here and in line 1. Keep one of them.",
    ),
    (experiment("  smoke:", "  smok:"), f"{YAML}, line 4: scale smok. Did you mean 'smoke'?"),
    (bare("title: t\nscales: 3"), f"{YAML}, line 2: scales must be scales under their names; got"),
    (bare("title: t\nscales: {}"), f"{YAML}, line 2: scales must have at least one scale."),
    (
        bare("title: t\nscales: {smoke: 3}"),
        f"{YAML}, line 2: scales.smoke must be settings under keys; got 3. {EXAMPLE}",
    ),
    (
        bare("title: t\nscales: {smoke: {seeds: 3}}"),
        f"{YAML}, line 2: scales.smoke needs the key arms. {EXAMPLE}",
    ),
    (
        bare("title: t\nscales: {smoke: {arms: {norm: batch}}}"),
        f"{YAML}, line 2: scales.smoke.arms must be a list; got {{'norm': 'batch'}}. {EXAMPLE}",
    ),
    (
        bare("title: t\nscales: {smoke: {arms: []}}"),
        f"{YAML}, line 2: scales.smoke.arms must list at least one arm. {EXAMPLE}",
    ),
    (
        bare("title: t\nscales:\n  smoke:\n    arms:\n    - batch"),
        f"{YAML}, line 5: scales.smoke.arms[0] must be settings under keys; got 'batch'.",
    ),
    (
        experiment("product: {norm: [none, batch]}", "set: [a]"),
        f"{YAML}, line 7: scales.smoke.arms[0].set must be settings under keys; got ['a'].",
    ),
    (
        experiment("[none, batch]", "batch"),
        f"{YAML}, line 7: scales.smoke.arms[0].product.norm must be a list of values to try; got",
    ),
    (
        experiment("product: {norm: [none, batch]}", "set: {norm: {name: batch}}"),
        f"{YAML}, line 7: scales.smoke.arms[0].set.norm must be a value; a key has dots, as on",
    ),
    (
        experiment("product: {norm: [none, batch]}", "zip: {norm: [none, batch], seed: [1]}"),
        f"{YAML}, line 7: the lists under zip must be equally long; got {{'norm': 2, 'seed': 1}}.",
    ),
    (
        experiment("product", "prodct"),
        f"{YAML}, line 7: scales.smoke.arms[0].prodct: there is no such key. Did you mean",
    ),
    (
        experiment("product: {norm: [none, batch]}", "exclude: {norm: batch}"),
        f"{YAML}, line 7: scales.smoke.arms[0].exclude must be a list; got",
    ),
    (
        experiment("product: {norm: [none, batch]}", "name: 3"),
        f"{YAML}, line 7: scales.smoke.arms[0].name must be text; got 3.",
    ),
    (
        experiment("product: {norm: [none, batch]}", "compute: wave"),
        "experiments/mine/compute.py is needed for the arm 'wave'.",
    ),
    (
        experiment("product: {norm: [none, batch]}", "set: {start_from: '{depth}@3'}"),
        f"{YAML}, line 7: start_from: '{{depth}}@3' asks for depth, which its arm does not set.",
    ),
    (
        experiment("seeds: 1", "seeds: many"),
        f"{YAML}, line 5: scales.smoke.seeds must be how many, or a list of them; got 'many'.",
    ),
    (experiment("seeds: 1", "seeds: -1"), "scales.smoke.seeds must be how many, or a list of them"),
    (experiment("seeds: 1", "seeds: true"), "scales.smoke.seeds must be how many"),
    (experiment("seeds: 1", "seeds: [0, a]"), "must be how many, or a list of them; got [0, 'a']."),
    (experiment("seeds: 1", "seeds: [-1]"), "seed must be 0 or greater; got -1."),
    (experiment("seeds: 1", f"seeds: [{2**63}]"), "seed must be at most 9223372036854775807"),
    (experiment("seeds: 1", "seed: 1"), f"{YAML}, line 5: scales.smoke.seed: there is no such key"),
    (experiment("seeds: 1", "cost: 3"), f"{YAML}, line 5: scales.smoke.cost must be text; got 3."),
    (
        experiment("title: t", "title: t\nmetrics: a"),
        f"{YAML}, line 2: metrics must be a list; got",
    ),
    (
        experiment("title: t", "title: t\nstand_in: [a]"),
        f"{YAML}, line 2: stand_in must be settings",
    ),
    (
        experiment("title: t", "title: t\npaper: {}"),
        f"{YAML}, line 2: paper must be text; got {{}}.",
    ),
    (experiment("batch]", "bacth]"), f"{YAML}, line 7: norm=bacth: there is no such norm. Did you"),
    (experiment("{norm:", "{nrom:"), f"{YAML}, line 7: nrom: there is no such setting. Did you"),
    (experiment("steps: 2", "stpes: 2"), f"{YAML}, line 2: stpes: there is no such setting."),
    (experiment("steps: 2", "steps: x"), f"{YAML}, line 2: steps must be a whole number or null"),
    (experiment("model: mlp", "model: mpl"), f"{YAML}, line 2: model=mpl: there is no such model."),
    (experiment(claims=""), "experiments/mine/claims.yaml: the file is empty."),
    (experiment(claims="- a"), "claims.yaml: a claims file is a mapping with the key claims"),
    (experiment(claims="claims: 3"), "claims.yaml: `claims` must be a list of at least one claim"),
    (experiment(claims="claims:\n\t- a"), "claims.yaml: not valid YAML: line 2: found character"),
    (experiment(claims=b"\xff"), "claims.yaml: not a text in UTF-8: byte 0 is 0xff."),
    (
        experiment(claims=CLAIMS.replace("id: batch_helps", "id: A")),
        "claims.yaml, line 2: claim A: `id` must be lower-case words joined by underscores",
    ),
    (
        experiment(claims=CLAIMS.replace("test/accuracy", "test/acc")),
        "claims.yaml, line 2: claim batch_helps: no metric is called 'test/acc'. Nearest:",
    ),
    (
        experiment(claims=CLAIMS.replace("    source: s", "    source: s\n    source: t")),
        "claims.yaml, line 5: the key source stands here and in line 4.",
    ),
    (
        {**experiment(), "experiments/mine/metrics.yaml": "metrics:\n  - {name: mine/a, doc: d}"},
        "experiments/mine/metrics.yaml, line 2: mine/a: label must be a text; got None.",
    ),
    (
        {**experiment(), "experiments/mine/metrics.yaml": "metrics: !!set {a}"},
        "experiments/mine/metrics.yaml, line 1: plain values alone are taken; got one of type",
    ),
    (
        experiment(figure=FIGURE.replace("accuracy", "acuracy")),
        "experiments/mine/figure.py:5: no metric is called 'test/acuracy'. Nearest: 'test/acc",
    ),
    (experiment(figure="def draw(table:\n"), "experiments/mine/figure.py:1: "),
    (experiment(figure=""), "experiments/mine/figure.py: no function draw; it defines draw(table)"),
]


def refused(files: Files, command: str, fragment: str, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    before = everything_in(folder)
    ended = normlab(*shlex.split(command), cwd=folder)
    assert ended.err.startswith("error: ")
    assert fragment in ended.err
    assert (ended.code, ended.out, everything_in(folder)) == (2, "", before)


@pytest.mark.parametrize(("files", "fragment"), EXPERIMENTS)
def test_an_experiment_of_ones_own(files: Files, fragment: str, tmp_path: Path) -> None:
    refused(files, PLAN, fragment, tmp_path)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("runs", "runs is the name of something else: `all` stands for every experiment"),
        ("all", "all is the name of something else"),
        (".hidden", "an experiment's folder must be the name of a file"),
        ("two\nlines", "an experiment's folder must be the name of a file"),
    ],
)
def test_a_name_that_no_experiment_has(name: str, fragment: str, tmp_path: Path) -> None:
    refused({f"experiments/{name}/experiment.yaml": EXPERIMENT}, PLAN, fragment, tmp_path)


def test_a_name_with_a_dot_is_a_name(tmp_path: Path) -> None:
    for name, content in experiment().items():
        file = tmp_path / name.replace("mine", "my.v2")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(content))
    assert normlab("experiment", "plan", "my.v2", cwd=tmp_path).code == 0


NORM_FILE = "configs/norm/mine.yaml"
TRAIN = "train norm=mine"
IMAGES = "train data=image_folder data.path=p"

CONFIGS: list[tuple[Files, str, str]] = [
    (own(""), TRAIN, f"{NORM_FILE}: needs the key name, of a norm. Such as:\n\n    name: batch\n"),
    (own("eps: 1"), TRAIN, f"{NORM_FILE}: needs the key name, of a norm."),
    (own("- batch"), TRAIN, f"{NORM_FILE}: must be settings under keys; got ['batch']."),
    (own("batch"), TRAIN, f"{NORM_FILE}: must be settings under keys; got 'batch'."),
    (own("name: bacth"), TRAIN, f"{NORM_FILE}, line 1: norm=bacth: there is no such norm. Did you"),
    (own("name: [batch]"), TRAIN, f"{NORM_FILE}, line 1: norm=['batch']: there is no such norm."),
    (
        own("name: batch\nmomentun: 1"),
        TRAIN,
        f"{NORM_FILE}, line 2: norm.momentun: there is no such setting. Did you mean 'norm.mom",
    ),
    (
        own("name: batch\n\nmomentum: abc"),
        TRAIN,
        f"{NORM_FILE}, line 3: norm.momentum must be a number; got 'abc'.",
    ),
    (
        own("name: batch\nmomentum: null"),
        TRAIN,
        f"{NORM_FILE}, line 2: norm.momentum must be a number; got null.",
    ),
    (
        own("name: batch\nmomentum: {a: 1}"),
        TRAIN,
        f"{NORM_FILE}, line 2: norm.momentum must be a number; got {{'a': 1}}.",
    ),
    (
        own("name: batch\nmomentum: 1e-2"),
        TRAIN,
        "norm.momentum must be a number; got '1e-2'. YAML takes that for text; write 0.01.",
    ),
    (own("name: batch\neps: .inf"), TRAIN, "line 2: norm.eps must be a finite number; got inf."),
    (own("name: batch\neps: -1"), TRAIN, "line 2: norm.eps must be greater than 0; got -1."),
    (own("name: batch\nmomentum: 7"), TRAIN, f"{NORM_FILE}: norm.momentum is the newest batch's"),
    (own("name: batch\nname: none"), TRAIN, "line 2: the key name stands here and in line 1."),
    (own("name: batch\n\teps: 1"), TRAIN, f"{NORM_FILE}: not valid YAML: line 2: found character"),
    (
        own("name: !!python/name:os.x b"),
        TRAIN,
        f"{NORM_FILE}, line 1: plain values alone are taken",
    ),
    (own(b"\xff\xfe"), TRAIN, f"{NORM_FILE}: not a text in UTF-8: byte 0 is 0xff."),
    (own("defaults: [nope]"), TRAIN, "In 'norm/mine': Could not load 'norm/nope'."),
    (own("name: batch\neps: ${nope}"), TRAIN, "norm.eps: Interpolation key 'nope' not found."),
    (
        own("name: batch", "configs/norm/mine.yml"),
        TRAIN,
        "configs/norm/mine.yml is not read: call it mine.yaml. Looked in ",
    ),
    (own("name: batch", "configs/norm/other.yaml"), TRAIN, "configs/norm too."),
    (own("name: batch", "configs/norm/none.yaml"), TRAIN, "there is a norm of that name already"),
    (own("name: batch", "configs/norm/mine.yaml/x"), TRAIN, "norm=mine: there is no such norm."),
    (
        own("every: 1", "configs/probe/p.yaml"),
        "train probe=p",
        "the first line must be '# @package",
    ),
    (
        own("# @package probe.icss\nevery: 1", "configs/probe/p.yaml"),
        "train probe=p",
        "configs/probe/p.yaml: probe=icss: there is no such probe. Did you mean 'ics'?",
    ),
    (
        own("# @package probe.ics\nevry: 1", "configs/probe/p.yaml"),
        "train probe=p",
        "configs/probe/p.yaml, line 2: probe.ics.evry: there is no such setting. Did you mean",
    ),
    (
        own("# @package probe.ics\nevery: x", "configs/probe/p.yaml"),
        "train probe=p",
        "configs/probe/p.yaml, line 2: probe.ics.every must be a whole number or null; got 'x'.",
    ),
    (
        norm("return 1 / 0"),
        TRAIN,
        "model=mlp with norm=mine cannot be built for samples of shape (1, 8, 8): "
        "ZeroDivisionError: division by zero (components/mine.py, line 14).",
    ),
    (norm("raise KeyError('x')"), TRAIN, "KeyError: 'x' (components/mine.py, line 14)."),
    (norm("return 3"), TRAIN, "norm=mine builds int, which is no NormLayer: build a subclass of"),
    (
        norm("return nn.BatchNorm1d(num_features)"),
        TRAIN,
        "norm=mine builds BatchNorm1d, which is",
    ),
    (norm("pass"), TRAIN, "model=mlp, as it is set, has no layer to normalize; got norm=mine."),
    (
        norm("pass", "frozen=True, "),
        TRAIN,
        "components/mine.py: TypeError: cannot inherit non-frozen dataclass from a frozen one "
        "(line 7). Write @dataclass(frozen=True, kw_only=True) above the class",
    ),
    (norm("pass", '"mine"', '"../mine"'), TRAIN, "a component's name must be the name of a file"),
    (norm("pass", '"mine"', '"batch"'), TRAIN, "norm=batch is registered twice"),
    (
        norm("pass", "def build(", "def biuld("),
        TRAIN,
        "norm=mine (components/mine.py) cannot be made: TypeError: Can't instantiate abstract",
    ),
    (
        norm("pass", "import nn", "import nnn"),
        TRAIN,
        "components/mine.py: ImportError: cannot import",
    ),
    (norm("pass", "def build(", "def build("[:-1]), TRAIN, "components/mine.py: SyntaxError: "),
    (
        {"components/mine.py": NORM.replace("BODY", "pass")},
        TRAIN,
        "A norm of that name is registered; to choose it, write the line `name: mine` into "
        "configs/norm/mine.yaml.",
    ),
]


@pytest.mark.parametrize(("files", "command", "fragment"), CONFIGS)
def test_configs_and_components_of_ones_own(
    files: Files, command: str, fragment: str, tmp_path: Path
) -> None:
    refused(files, command, fragment, tmp_path)


PLACES: list[tuple[Files, str, str]] = [
    ({"results": "a file"}, "train", "/results is not a folder. Give another one."),
    ({"results/runs": "a file"}, "train", "/results/runs is not a folder. Give another one."),
    ({"results/sweeps": "a file"}, "train -m seed=0,1", "/results/sweeps is not a folder."),
    ({"results/runs": "a file"}, "runs ls", "results/runs must be a folder of runs; it is a file."),
    (
        {"results/runs": "a file"},
        "runs push",
        "results/runs must be a folder of runs; it is a file.",
    ),
    ({"results/report": "a file", "results/runs/x/y": ""}, "experiment report", "/results/report/"),
    (
        {"results/a/smoke/verdicts.json/x": ""},
        "experiment claims",
        "/verdicts.json: Is a directory.",
    ),
    (
        {"results/demo/smoke/manifest.json/x": ""},
        "experiment verify",
        "/manifest.json: Is a directo",
    ),
    ({"a": "a file"}, "zoo --output a/zoo.md", "could not write a/zoo.md: "),
    ({"a": "a file"}, "experiment wandb-sweep demo --output a", "could not write a/demo-smoke"),
    (
        {"p/train/a/x.png": "no", "p/test/a/y.png": "no"},
        IMAGES,
        "p/train/a/x.png cannot be read as",
    ),
    (
        {"p/train/a/x.txt": "no", "p/test/a/y.txt": "no"},
        IMAGES,
        "p/train has none (looked for .bmp",
    ),
]


@pytest.mark.parametrize(("files", "command", "fragment"), PLACES)
def test_what_the_system_refuses_is_named(
    files: Files, command: str, fragment: str, tmp_path: Path
) -> None:
    refused(files, command, fragment, tmp_path)
