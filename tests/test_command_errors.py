"""What a user reads for a command that cannot be carried out: the exact text, and nothing left."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from support.command_line import ROOT, everything_in, train

from normlab.config import registry


def choices(group: str) -> str:
    return ", ".join(sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml")))


def settings(group: str, name: str, prefix: str | None = None) -> str:
    """The keys of a choice and where they are defined, as texts list them."""
    keys = [field.name for field in dataclasses.fields(registry.choices(group)[name])]
    file = f"configs/{group}/{name}.yaml"
    return f"{', '.join(f'{prefix or group}.{key}' for key in keys)} (defined in {file})"


def top_level() -> str:
    """Groups and settings in the order of train.yaml; probe, chosen as a list, is a setting."""
    content = yaml.safe_load((ROOT / "configs" / "train.yaml").read_text())
    groups = [group for entry in content.pop("defaults") if entry != "_self_" for group in entry]
    chosen = [group for group in groups if group != "probe" and not group.startswith("override ")]
    return ", ".join([*chosen, *(key for key in content if key != "hydra")])


TOP_LEVEL = top_level()
SGD = settings("optimizer", "sgd")
LAYER = settings("norm", "layer")
ICS = settings("probe", "ics", prefix="probe.ics")
VGG11_LAYERS = ", ".join([*(f"{index} conv{index}" for index in range(1, 9)), "9 linear"])
NOT_KEY_VALUE = (
    "is not of the form key=value. Close brackets and quotation marks, and keep the shell from "
    "reading them: 'probe=[ics]'."
)

WORDS = {
    "norm=bacth": (
        "norm=bacth: there is no such norm. Did you mean 'batch'? "
        f"Choices: {choices('norm')} (defined in configs/norm/)."
    ),
    "norm=null": (
        "norm=null: there is no such norm. Did you mean 'none'? "
        f"Choices: {choices('norm')} (defined in configs/norm/)."
    ),
    "optimizer=sdg": (
        "optimizer=sdg: there is no such optimizer. Did you mean 'sgd'? "
        f"Choices: {choices('optimizer')} (defined in configs/optimizer/)."
    ),
    "data=cifar": (
        "data=cifar: there is no such data. Did you mean 'cifar10'? "
        f"Choices: {choices('data')} (defined in configs/data/)."
    ),
    "init=kaiming": (
        "init=kaiming: there is no such init. "
        f"Choices: {choices('init')} (defined in configs/init/)."
    ),
    "probe=[icss]": (
        "probe=icss: there is no such probe. Did you mean 'ics'? "
        f"Choices: {choices('probe')} (defined in configs/probe/)."
    ),
    "probe=[ics,icss]": (
        "probe=icss: there is no such probe. Did you mean 'ics'? "
        f"Choices: {choices('probe')} (defined in configs/probe/)."
    ),
    # Keys.
    "optimizer.lrr=0.1": (
        f"optimizer.lrr: there is no such setting. Did you mean 'optimizer.lr'? Settings: {SGD}."
    ),
    "stpes=10": (
        "stpes: there is no such setting. Did you mean 'steps'? "
        f"Settings: {TOP_LEVEL} (defined in configs/train.yaml)."
    ),
    "nrom=batch": (
        "nrom: there is no such setting. Did you mean 'norm'? "
        f"Settings: {TOP_LEVEL} (defined in configs/train.yaml)."
    ),
    "optimzer.lr=0.1": ("optimzer.lr: there is no such setting. Did you mean 'optimizer.lr'?"),
    "optimizer.weight_decay=0.1": (
        "optimizer.weight_decay: there is no such setting. It belongs to optimizer=adamw. "
        f"Settings: {SGD}."
    ),
    "launcher.num_workers=3": (
        "launcher.num_workers: there is no such setting. It belongs to launcher=pool. "
        "Settings: launcher.rerun_failed (defined in configs/launcher/serial.yaml)."
    ),
    "norm=layer norm.num_groups=4": (
        f"norm.num_groups: there is no such setting. Settings: {LAYER}."
    ),
    "norm=layer ++norm.foo=3": f"norm.foo: there is no such setting. Settings: {LAYER}.",
    "norm=layer +norm.foo=3": f"norm.foo: there is no such setting. Settings: {LAYER}.",
    "probe.ics.every=3": (
        "probe.ics.every needs probe=ics, which is not chosen: add 'probe=[ics]'."
    ),
    "probe=[ics] probe.ics.layerz=[conv1]": (
        "probe.ics.layerz: there is no such setting. Did you mean 'probe.ics.layers'? "
        f"Settings: {ICS}."
    ),
    # Types and words.
    "optimizer.lr=abc": "optimizer.lr must be a number; got 'abc'.",
    "optimizer.lr=true": "optimizer.lr must be a number; got true.",
    "batch_size=1.5": "batch_size must be a whole number; got 1.5.",
    "batch_size=true": "batch_size must be a whole number; got true.",
    "seed=null": "seed must be a whole number; got null.",
    "steps=": "steps must be a whole number or null; got ''.",
    "norm.affine=maybe": "norm.affine must be true or false; got 'maybe'.",
    "norm.affine=1": "norm.affine must be true or false; got 1.",
    "norm.position=befor": (
        "norm.position must be before or after; got 'befor'. Did you mean 'before'?"
    ),
    "precision=float16": (
        "precision must be float32, bfloat16 or float64; got 'float16'. Did you mean 'bfloat16'?"
    ),
    "data.sampling=epochs": (
        "data.sampling must be epoch, with_replacement or fixed_batches; got 'epochs'. Did you "
        "mean 'epoch'?"
    ),
    "model=mlp model.widths=10": ("model.widths must be a list, each item a whole number; got 10."),
    "model=mlp model.widths=[10,a]": (
        "model.widths must be a list, each item a whole number; got [10, 'a']."
    ),
    "model=mlp model.activation=rellu": (
        "model.activation must be relu, sigmoid, tanh or gelu; got 'rellu'. Did you mean 'relu'?"
    ),
    # Grammar.
    "steps": f"'steps' {NOT_KEY_VALUE}",
    "a=[1": f"'a=[1' {NOT_KEY_VALUE}",
    "=3": f"'=3' {NOT_KEY_VALUE}",
    # Numbers.
    "steps=0": "steps must be 1 or greater; got 0.",
    "seed=-1": "seed must be 0 or greater; got -1.",
    "optimizer.lr=-1": "optimizer.lr must be greater than 0; got -1.0.",
    "optimizer.lr=nan": "optimizer.lr must be a finite number; got nan.",
    "optimizer.lr=inf": "optimizer.lr must be a finite number; got inf.",
    "norm.eps=0": "norm.eps must be greater than 0; got 0.0.",
    "dropout=1.0": "dropout must be at least 0 and less than 1; got 1.0.",
    "regularizer.l2=-1": "regularizer.l2 must be 0 or greater; got -1.0.",
    "init.scale=-2": "init.scale must be 0 or greater; got -2.0.",
    "optimizer.momentum=1": "optimizer.momentum must be at least 0 and less than 1; got 1.0.",
    "data.limit=0": "data.limit must be 1 or greater; got 0.",
    "eval.every=0": "eval.every must be 1 or greater; got 0.",
    "checkpoint.every=0": "checkpoint.every must be 1 or greater; got 0.",
    "num_threads=0": "num_threads must be 1 or greater; got 0.",
    "model=mlp model.widths=[0]": "model.widths[0] must be 1 or greater; got 0.",
    "schedule.warmup_steps=-3": "schedule.warmup_steps must be 0 or greater; got -3.",
    "schedule=multistep schedule.milestones=[2]": (
        "schedule.milestones are shares of the run's length, each at least 0 and less than 1; "
        "got 2.0. Half way through is 0.5."
    ),
    "data.validation_fraction=1": (
        "data.validation_fraction must be at least 0 and less than 1; got 1.0."
    ),
    # Combinations.
    "epochs=3": (
        "a run's length is either steps or epochs; got steps=200 and epochs=3.0. "
        "Keep one and write the other as null."
    ),
    "steps=null": "a run needs a length: give steps=N or epochs=N.",
    "optimizer.nesterov=true": (
        "optimizer.nesterov=true looks ahead along the momentum, which is 0 here. "
        "Give optimizer.momentum=0.9, or leave optimizer.nesterov=false."
    ),
    "batch_size=2000": (
        "batch_size must not exceed the training set; got batch_size=2000 for 1500 training "
        "samples. Lower batch_size, or raise data.limit if it is set."
    ),
    "data.limit=9999": (
        "data.limit must not exceed the 1500 training samples of data=digits; got 9999. "
        "Give data.limit=null for all of them."
    ),
    "data.limit=100 data.validation_fraction=0.999": (
        "batch_size must not exceed the training set; got batch_size=128 for 1 training "
        "samples. Lower batch_size, or raise data.limit if it is set."
    ),
    "data.validation_fraction=0.0001": (
        "data.validation_fraction must set at least one sample aside; 0.0001 of 1500 training "
        "samples is none. Raise data.validation_fraction or data.limit."
    ),
    "model=mlp batch_size=1": (
        "norm=batch takes a variance over a feature's values in the batch, which needs at least "
        "2 values; an input of shape (1, 100) has 1. "
        "Raise batch_size, or choose norm=layer or norm=group."
    ),
    "model=mlp norm=group norm.groups=3": (
        "norm.groups must divide the channels of every layer; got 3 groups for a layer of 100, "
        "whose divisors are 1, 2, 4, 5, 10, 20, 25, 50, 100. "
        "Choose one of these, or norm.groups=null for the largest up to 32."
    ),
    "model=vgg11 data.resize=8": (
        "model=vgg11 halves images five times and needs images of at least 32 x 32 pixels; "
        "a sample has shape (1, 8, 8). Set data.resize=32 or larger (or data.resize=auto)."
    ),
    "model=deep_linear data=gaussian dropout=0.5": (
        "model=deep_linear, as it is set, has no place to drop units at; got dropout=0.5. "
        "Set dropout=0."
    ),
    "model=mlp model.widths=[] norm=none dropout=0.5": (
        "model=mlp, as it is set, has no place to drop units at; got dropout=0.5. Set dropout=0."
    ),
    "model=mlp model.widths=[] norm=batch": (
        "model=mlp, as it is set, has no layer to normalize; got norm=batch. Set norm=none."
    ),
    "model=deep_linear data=gaussian regularizer.label_smoothing=0.1": (
        "regularizer.label_smoothing needs classes; this data set is a regression. "
        "Give regularizer.label_smoothing=0."
    ),
    "data=gaussian model=deep_linear data.augment=true": (
        "data.augment needs images; data=gaussian holds vectors. Give data.augment=false."
    ),
    "model=vgg11 probe=ics probe.ics.layers=[conv99]": (
        "probe.ics.layers: no layer of this model is called 'conv99'. "
        f"Nearest: conv8, conv7, conv6. Layers: {VGG11_LAYERS}."
    ),
    "probe=[ics] probe.ics.steps=[500]": (
        "probe.ics.steps holds 500; a run of 200 steps has steps 0 to 199. "
        "Leave it out, or train for longer."
    ),
    "data=mnist data.root=/nonexistent": (
        "data=mnist is not on disk: /nonexistent/MNIST/raw/train-images-idx3-ubyte does not "
        "exist. Get it with: normlab data mnist --root /nonexistent"
    ),
    "data=image_folder": (
        "data=image_folder needs a folder that holds train/CLASS/ and test/CLASS/ with images: "
        "give data.path=DIR."
    ),
    "device=foo": "device must be auto, cpu, cuda or cuda:N; got 'foo'.",
    "launcher=slurm": (
        "launcher=slurm is not built yet. Use launcher=pool inside one allocation "
        "(srun --cpus-per-task=N normlab train -m launcher=pool ...); several such "
        "jobs may work on the same sweep at once and share its runs."
    ),
    # Sweeps: nothing is written where one cell of many cannot be run.
    "-m launcher=serial,pool": (
        "launcher is one for a whole sweep; got launcher=serial,pool. Keep one of them."
    ),
    "-m tracker=none,offline seed=0,1": (
        "tracker is one for a whole sweep; got tracker=none,offline. Keep one of them."
    ),
    "-m hydra/launcher=joblib seed=0,1": (
        "hydra/launcher=joblib: normlab carries out sweeps itself. "
        "Give launcher=serial or launcher=pool in its place."
    ),
    "-m hydra/launcher=basic seed=0,1": (
        "hydra/launcher=basic: normlab carries out sweeps itself. "
        "Give launcher=serial or launcher=pool in its place."
    ),
    **{
        f"{flag}{word}": (
            f"{word}: normlab carries out runs itself, without Hydra's own settings. Leave it "
            "out; results_dir=DIR says where runs are recorded."
        )
        for flag, word in (
            ("", "hydra.run.dir=elsewhere"),
            ("", "+hydra.verbose=true"),
            ("", "hydra/job_logging=none"),
            ("-m ", "hydra.job.name=a,b"),
        )
    },
    "-m norm=none,bacth": (
        "norm=bacth: there is no such norm. Did you mean 'batch'? "
        f"Choices: {choices('norm')} (defined in configs/norm/). (at norm=bacth)"
    ),
    "-m model=mlp seed=0,1 batch_size=32,16,1": (
        "norm=batch takes a variance over a feature's values in the batch, which needs at least "
        "2 values; an input of shape (1, 100) has 1. Raise batch_size, or choose norm=layer or "
        "norm=group. (at seed=0 batch_size=1)"
    ),
    "-m model=mlp norm=none,batch optimizer.lr=0.1,-1": (
        "optimizer.lr must be greater than 0; got -1.0. (at norm=none optimizer.lr=-1)"
    ),
    "-m model=mlp norm.eps=${missing} seed=0,1": (
        "norm.eps: Interpolation key 'missing' not found. (at seed=0)"
    ),
    "-m norm.name=layer seed=0,1": ("norm.name is set by choosing a norm: norm=layer. (at seed=0)"),
    "-m steps": f"'steps' {NOT_KEY_VALUE}",
}


@pytest.mark.parametrize("words", WORDS)
def test_the_text_says_what_is_wrong_and_nothing_is_left_behind(words: str, tmp_path: Path) -> None:
    ended = train(*words.split(), cwd=tmp_path)
    assert ended.err == f"error: {WORDS[words]}\n"
    assert ended.out == ""
    assert ended.code == 2
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        (
            "model=deep_linear",
            "model=deep_linear takes vectors; data=digits has images of shape (1, 8, 8). Choose "
            "other data, or a model that takes images: ",
            "vgg19.",
        ),
        (
            "model=vgg11 data=gaussian",
            "model=vgg11 takes images; data=gaussian has vectors of shape (10,). Choose other "
            "data, or a model that takes vectors: ",
            "deep_linear, mlp.",
        ),
        (
            "norm=layer norm.groups=4",
            "norm.groups: there is no such setting. It belongs to norm=group",
            f" Settings: {LAYER}.",
        ),
        ("~norm", "a run needs a norm: give norm=NAME.", "(defined in configs/norm/)."),
    ],
)
def test_texts_that_name_what_there_is(words: str, start: str, end: str, tmp_path: Path) -> None:
    ended = train(*words.split(), cwd=tmp_path)
    assert ended.err.startswith(f"error: {start}")
    assert ended.err.endswith(f"{end}\n")
    assert (ended.code, ended.out, everything_in(tmp_path)) == (2, "", [])


def test_a_cuda_device_this_machine_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    ended = train("device=cuda", cwd=tmp_path)
    assert ended.err == (
        "error: device=cuda: this machine has 0 CUDA devices. Use device=auto or device=cpu.\n"
    )
    assert (ended.code, everything_in(tmp_path)) == (2, [])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("optimizer.lr=abc",), "optimizer.lr must be a number; got 'abc'."),
        (
            ("-m", "model=mlp", "tracker=none", "steps=1", "batch_size=32,16,1"),
            "norm=batch takes a variance over a feature's values in the batch, which needs at "
            "least 2 values; an input of shape (1, 100) has 1. Raise batch_size, or choose "
            "norm=layer or norm=group. (at batch_size=1)",
        ),
    ],
)
def test_a_process_of_its_own_says_and_does_the_same(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == f"error: {text}\n"
    assert ended.stdout == ""
    assert ended.returncode == 2
    assert everything_in(tmp_path) == []


def test_results_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("in the way")
    ended = train("results_dir=taken", cwd=tmp_path)
    assert ended.err == (
        f"error: results_dir=taken must be a folder that can be written to; {tmp_path / 'taken'} "
        "is not a folder. Give another one.\n"
    )
    assert (ended.code, everything_in(tmp_path)) == (2, ["taken"])
