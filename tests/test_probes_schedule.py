"""When probes measure, and which layers."""

from __future__ import annotations

import pytest
from support.runs import prepared

from normlab.probes.ics import IcsConfig
from normlab.probes.layers import choose_layers
from normlab.probes.schedule import EverySteps, ListedSteps, Schedule, log_spaced
from normlab.probes.successive import WithPredecessor

NAMES = ("conv1", "conv2", "block1.conv1", "block1.shortcut", "linear")


def steps_of(due: Schedule, num_steps: int) -> list[int]:
    return [step for step in range(num_steps) if due.due(step)]


@pytest.mark.parametrize(
    ("num_steps", "num_measured", "second"),
    [(1, 1, None), (19, 19, 1), (20, 20, 1), (21, 11, 2), (200, 20, 10), (15_000, 20, 750)],
)
def test_twenty_measurements_at_most_when_nothing_is_said(
    num_steps: int, num_measured: int, second: int | None
) -> None:
    due = IcsConfig().schedule(num_steps)
    steps = steps_of(due, num_steps)
    assert len(steps) == num_measured
    assert steps[:2] == ([0] if second is None else [0, second])
    assert due.first == 0


def test_every_n_and_listed_steps() -> None:
    assert IcsConfig(every=7).schedule(20) == EverySteps(7)
    listed = IcsConfig(steps=(9, 3)).schedule(20)
    assert listed == ListedSteps((9, 3))
    assert steps_of(listed, 20) == [3, 9]
    assert listed.first == 3


@pytest.mark.parametrize(
    ("per_decade", "num_steps", "steps"),
    [
        (1, 1, (0,)),
        (1, 2, (0, 1)),
        (1, 10, (0, 1)),
        (1, 11, (0, 1, 10)),
        (1, 15_000, (0, 1, 10, 100, 1000, 10_000)),
        (3, 101, (0, 1, 2, 5, 10, 22, 46, 100)),
        (20, 8, (0, 1, 2, 3, 4, 5, 6, 7)),
    ],
)
def test_log_spaced_steps(per_decade: int, num_steps: int, steps: tuple[int, ...]) -> None:
    assert log_spaced(per_decade, num_steps) == steps
    due = IcsConfig(per_decade=per_decade).schedule(num_steps)
    assert tuple(steps_of(due, num_steps)) == steps


def test_thinning_leaves_every_other_measurement() -> None:
    assert EverySteps(3).thinned() == EverySteps(6)
    assert ListedSteps((9, 0, 4)).thinned() == ListedSteps((0, 9))
    assert ListedSteps((4,)).thinned() == ListedSteps((4,))
    pairs = WithPredecessor(EverySteps(3), num_steps=20).thinned()
    assert steps_of(pairs, 20) == [0, 5, 6, 11, 12, 17, 18]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((), ("probe.ics.every=2",)),
        (("probe.ics.every=99",), ("probe.ics.every=40",)),
        (("probe.ics.steps=[7,3,7]",), ("probe.ics.steps=[3,7]",)),
    ],
)
def test_schedules_of_the_same_steps_make_the_same_run(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    words = ("probe=[ics]", "steps=40")
    assert prepared(*words, *one)[0] == prepared(*words, *other)[0]


def test_other_schedules_make_another_run() -> None:
    found = [
        prepared("probe=[ics]", "steps=40", *words)[0].probe
        for words in ((), ("probe.ics.every=3",), ("probe.ics.per_decade=3",))
    ]
    assert found[0] != found[1]
    assert found[2][0] == IcsConfig(per_decade=3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"every": 5, "steps": (1,)},
            r"probe\.ics\.every and probe\.ics\.steps exclude each other; got probe\.ics\.every=5 "
            r"and probe\.ics\.steps=\[1\]\. Set all but one to null",
        ),
        ({"every": 5, "per_decade": 1}, r"probe\.ics\.every and probe\.ics\.per_decade exclude"),
        ({"every": 0}, r"probe\.ics\.every must be 1 or greater; got 0"),
        ({"per_decade": 0}, r"probe\.ics\.per_decade must be 1 to 1000; got 0"),
        ({"steps": ()}, r"probe\.ics\.steps must name at least one step"),
        ({"steps": (2, -3)}, r"probe\.ics\.steps must be 0 or greater; got -3"),
    ],
)
def test_bad_schedules_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        IcsConfig(**settings)  # type: ignore[arg-type]


def test_a_step_beyond_the_run_is_refused() -> None:
    text = r"probe\.ics\.steps holds 20; a run of 20 steps has steps 0 to 19"
    with pytest.raises(ValueError, match=text):
        IcsConfig(steps=(3, 20)).schedule(20)


def test_layers_by_name_place_and_pattern() -> None:
    assert choose_layers("key", "all", NAMES) == NAMES
    assert choose_layers("key", "conv2", NAMES) == ("conv2",)
    assert choose_layers("key", 5, NAMES) == ("linear",)
    assert choose_layers("key", ("linear", "block1.*", 4, 2), NAMES) == NAMES[1:]


def test_layers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"key: no layer of this model is called 'conv3'\. Nearest: conv2, conv1, .* "
        r"Layers: 1 conv1, 2 conv2, 3 block1\.conv1, 4 block1\.shortcut, 5 linear\.",
    ):
        choose_layers("key", ("linear", "conv3"), NAMES)
    with pytest.raises(ValueError, match="key: there is no layer 6; this model has layers 1 to 5"):
        choose_layers("key", 6, NAMES)
    with pytest.raises(ValueError, match="no layer 0"):
        choose_layers("key", 0, NAMES)
