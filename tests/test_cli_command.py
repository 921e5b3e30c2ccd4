"""Words become options: what `--` means, and that a mistake of ours is not told as the user's."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from normlab.cli import experiment, runs
from normlab.cli.command import Action, Command, make_parser, options_of


def typed(command: Command, *words: str) -> Action:
    return options_of(make_parser(command.add_arguments, command.__doc__), words)


@pytest.mark.parametrize("action", ["run", "plan", "draw"])
def test_after_dashes_come_words_for_every_run(action: str) -> None:
    asked = typed(experiment, action, "demo", "--scale", "small", "--", "steps=3", "~probe")
    assert isinstance(asked, experiment.Selection)
    assert (asked.names, asked.scale, asked.words) == (("demo",), "small", ("steps=3", "~probe"))
    without = typed(experiment, action, "demo")
    assert isinstance(without, experiment.Selection)
    assert without.words == ()


def test_an_experiment_is_named_before_the_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        typed(experiment, "run", "--", "steps=3")
    assert "required: NAME" in capsys.readouterr().err


def test_elsewhere_dashes_only_end_the_options() -> None:
    assert typed(runs, "ls", "--", "norm=batch") == runs.Ls(filter=("norm=batch",))
    measuring = runs.Measure(run="mlp", words=("probe=[ics]",))
    assert typed(runs, "measure", "mlp", "--", "probe=[ics]") == measuring
    assert typed(runs, "why", "mlp", "--", "steps=3") == runs.Why(run="mlp", words=("steps=3",))


def test_an_action_that_takes_no_words_refuses_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        typed(experiment, "list", "--", "steps=3")
    assert "steps=3" in capsys.readouterr().err


def test_a_declaration_that_does_not_fit_its_class_is_not_hidden() -> None:
    @dataclass(frozen=True)
    class Bare:
        def carry_out(self) -> int:
            return 0

    parser = argparse.ArgumentParser()
    parser.add_argument("--unknown")
    parser.set_defaults(action=Bare)
    with pytest.raises(TypeError, match="unknown"):
        options_of(parser, [])


def test_filters_may_stand_behind_options() -> None:
    words = ["plot", "norm=batch", "--title", "steps=40", "--pool", "steps=40", "seed=0"]
    asked = typed(runs, *words)
    assert isinstance(asked, runs.Plot)
    assert (asked.title, asked.filter, asked.pool) == (
        "steps=40",
        ("norm=batch", "seed=0"),
        ("steps=40",),
    )
    words = ["ls", "--sort", "seed", "norm=batch", "--csv", "seed=0"]
    asked = typed(runs, *words)
    assert isinstance(asked, runs.Ls)
    assert (asked.sort, asked.filter) == ("seed", ("norm=batch", "seed=0"))
