"""Plain values to frozen dataclasses: strict types, exact texts, and the way back."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from support.runs import CONFIG_DIR, composer, tiny

from normlab.config import RunConfig, choices
from normlab.config.convert import COMPONENT_GROUPS, component, plain, run_config
from normlab.config.errors import ConfigError, no_such_setting, unknown
from normlab.config.run import CheckpointConfig, EvalConfig, RegularizerConfig
from normlab.models.mlp import MLPConfig
from normlab.norms.batch import BatchConfig
from normlab.training.optimizers import SGDConfig

FILES = sorted(
    (folder.name, file.stem)
    for folder in CONFIG_DIR.iterdir()
    if folder.is_dir()
    for file in folder.glob("*.yaml")
)


def values(**changes: Any) -> dict[str, Any]:
    """The plain values of a tiny run, with some replaced."""
    return {**plain(tiny()), **changes}


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_choice_composes_and_converts(group: str, name: str) -> None:
    if (group, name) == ("launcher", "slurm"):
        with pytest.raises(ConfigError, match="launcher=slurm is not built yet"):
            run_config(composer().compose(["launcher=slurm"]))
        return
    config = run_config(composer().compose([f"{group}={name}"]))
    if group == "probe":
        several = {"none": [], "all": sorted(choices("probe"))}
        assert [probe.NAME for probe in config.probe] == several.get(name, [name])
        return
    chosen = getattr(config, group)
    assert isinstance(chosen, choices(group)[chosen.NAME])


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_choice_of_its_component_s_name_holds_the_dataclass_s_defaults(
    group: str, name: str
) -> None:
    if name not in choices(group) or name == "slurm":
        return
    config = run_config(composer().compose([f"{group}={name}"]))
    chosen = config.probe[0] if group == "probe" else getattr(config, group)
    assert chosen == choices(group)[name]()


def test_files_of_another_name_change_some_setting_of_their_component() -> None:
    others = [(group, name) for group, name in FILES if name not in choices(group)]
    for group, name in others:
        if group == "probe":
            continue
        chosen = getattr(run_config(composer().compose([f"{group}={name}"])), group)
        assert chosen != type(chosen)(), (group, name)


def test_every_registered_component_has_its_file() -> None:
    groups = (*COMPONENT_GROUPS, "probe")
    registered = {(group, name) for group in groups for name in choices(group)}
    assert registered <= set(FILES)


def test_train_yaml_holds_the_defaults_of_the_run() -> None:
    config = run_config(composer().compose([]))
    assert config.regularizer == RegularizerConfig()
    assert config.eval == EvalConfig()
    assert config.checkpoint == CheckpointConfig()
    for field in dataclasses.fields(RunConfig):
        if field.default is not dataclasses.MISSING and field.name != "steps":
            assert getattr(config, field.name) == field.default, field.name


@pytest.mark.parametrize(("group", "name"), FILES)
def test_plain_values_give_the_same_configuration_back(group: str, name: str) -> None:
    if name == "slurm":
        return
    config = run_config(composer().compose([f"{group}={name}"]))
    assert run_config(plain(config)) == config
    assert run_config(json.loads(json.dumps(plain(config)))) == config


def test_configurations_are_frozen_hashable_and_keyword_only() -> None:
    config = tiny()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        SGDConfig(0.1)  # type: ignore[call-arg]
    assert hash(config) == hash(tiny())
    assert len({config, tiny(), tiny("seed=1")}) == 2


def test_whole_numbers_stand_for_floats_and_lists_become_tuples() -> None:
    config = run_config(values(dropout=0, epochs=None))
    assert config.dropout == 0.0
    assert type(config.dropout) is float
    model = component("model", {"name": "mlp", "widths": [3, 4]})
    assert isinstance(model, MLPConfig)
    assert model.widths == (3, 4)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dropout": True}, "dropout must be a number; got true."),
        ({"dropout": "0.5"}, "dropout must be a number; got '0.5'."),
        ({"dropout": None}, "dropout must be a number; got null."),
        ({"seed": 1.0}, "seed must be a whole number; got 1.0."),
        ({"seed": True}, "seed must be a whole number; got true."),
        ({"seed": "1"}, "seed must be a whole number; got '1'."),
        ({"steps": [1]}, "steps must be a whole number or null; got [1]."),
        ({"device": 3}, "device must be text; got 3."),
        ({"dropout": math.nan}, "dropout must be a finite number; got nan."),
        ({"epochs": math.inf, "steps": None}, "epochs must be a finite number; got inf."),
        (
            {"norm": "batch"},
            "norm must be the name of a norm. Choices: ",
        ),
        (
            {"norm": {"name": "batch", "affine": 1}},
            "norm.affine must be true or false; got 1.",
        ),
        (
            {"optimizer": {"name": "sgd", "lr": -math.inf}},
            "optimizer.lr must be a finite number; got -inf.",
        ),
        (
            {"regularizer": {"l1": 0.0, "l3": 0.0}},
            "regularizer.l3: there is no such setting. Did you mean 'regularizer.l1'? Settings: "
            "regularizer.l1, regularizer.l2, ",
        ),
        ({"regularizer": 3}, "regularizer must be a mapping of settings; got 3."),
        ({"probe": ["ics"]}, "probe must be a list of probe names, such as 'probe=[ics]'; got"),
        ({"probe": {"ics": 3}}, "probe.ics must be a mapping of settings; got 3."),
    ],
)
def test_wrong_types_are_refused_with_the_key_and_the_value(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        run_config(values(**changes))
    assert str(refusal.value).startswith(text)


def test_infinity_is_a_value_where_a_setting_allows_it() -> None:
    assert tiny("norm=lp", "norm.p=inf").norm == choices("norm")["lp"](p=math.inf)  # type: ignore[call-arg]


def test_values_left_out_take_their_defaults() -> None:
    assert component("norm", {"name": "batch", "momentum": 0.5}) == BatchConfig(momentum=0.5)


def test_probes_are_ordered_by_name() -> None:
    config = tiny("probe=[ics]")
    assert [probe.NAME for probe in config.probe] == ["ics"]
    assert list(plain(config)["probe"]) == ["ics"]


def test_texts_for_words_that_do_not_exist() -> None:
    assert unknown("norm", "bacth", ["none", "batch"], "configs/norm/") == (
        "norm=bacth: there is no such norm. Did you mean 'batch'? "
        "Choices: none, batch (defined in configs/norm/)."
    )
    assert no_such_setting("a.lrr", ["a.lr", "a.momentum"], "a.yaml") == (
        "a.lrr: there is no such setting. Did you mean 'a.lr'? "
        "Settings: a.lr, a.momentum (defined in a.yaml)."
    )
    assert no_such_setting("a.depth", [], "a.yaml", ["a=deep"]) == (
        "a.depth: there is no such setting. It belongs to a=deep. "
        "It has no settings (defined in a.yaml)."
    )
