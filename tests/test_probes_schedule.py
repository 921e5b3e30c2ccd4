"""When probes measure, and which layers."""

import pytest

from normlab.probes.layers import choose_layers
from normlab.probes.schedule import EverySteps, ListedSteps, check_schedule, schedule

NAMES = ("conv1", "conv2", "block1.conv1", "block1.shortcut", "linear")


@pytest.mark.parametrize(
    ("num_steps", "num_measured", "second"),
    [(1, 1, None), (19, 19, 1), (20, 20, 1), (21, 11, 2), (200, 20, 10), (15_000, 20, 750)],
)
def test_about_twenty_measurements_when_nothing_is_said(
    num_steps: int, num_measured: int, second: int | None
) -> None:
    due = schedule("probe.ics", None, None, num_steps)
    steps = [step for step in range(num_steps) if due.due(step)]
    assert len(steps) == num_measured
    assert steps[:2] == ([0] if second is None else [0, second])
    assert due.first == 0


def test_every_n_and_listed_steps() -> None:
    assert schedule("probe.ics", 7, None, 20) == EverySteps(7)
    listed = schedule("probe.ics", None, (9, 3), 20)
    assert listed == ListedSteps((9, 3))
    assert [step for step in range(20) if listed.due(step)] == [3, 9]
    assert listed.first == 3


def test_bad_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"probe\.ics\.every and probe\.ics\.steps exclude each"):
        check_schedule("probe.ics", 5, (1,))
    with pytest.raises(ValueError, match=r"probe\.ics\.every must be 1 or greater; got 0"):
        check_schedule("probe.ics", 0, None)
    with pytest.raises(ValueError, match=r"probe\.ics\.steps must name at least one step"):
        check_schedule("probe.ics", None, ())
    with pytest.raises(ValueError, match=r"probe\.ics\.steps must be 0 or greater; got -3"):
        check_schedule("probe.ics", None, (2, -3))
    with pytest.raises(
        ValueError, match=r"probe\.ics\.steps holds 20; a run of 20 steps has steps 0 to 19"
    ):
        schedule("probe.ics", None, (3, 20), 20)


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
