"""Actions that only print say so: their exit code tells whether what they said was written."""

from __future__ import annotations

import pytest

from normlab.cli.command import Printing
from normlab.cli.runs import BestLevels, Diff, Ls, Show, Why


@pytest.mark.parametrize("action", [BestLevels, Diff, Ls, Show, Why])
def test_an_action_that_does_nothing_but_print_says_so(action: type) -> None:
    assert issubclass(action, Printing)
