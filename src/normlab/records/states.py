"""How the carrying out of a run stands, and what a finished one came to."""

from __future__ import annotations

from typing import Literal

State = Literal["finished", "running", "interrupted", "failed", "missing"]
Standing = State | Literal["damaged"]
"""What a list of runs says of each: the state, or that it cannot be read."""

Outcome = Literal["trained", "diverged", "stuck"]
