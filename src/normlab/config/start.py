"""Which network a staged run begins with."""

from __future__ import annotations

from dataclasses import dataclass

END = "end"


@dataclass(frozen=True)
class Start:
    """What `start_from` says, RUN@STEP; without a step the run's end is meant."""

    run: str
    """A run folder's name; an arm of an experiment; resolved, a cell's identity."""
    step: int | None

    @staticmethod
    def parse(text: str) -> Start:
        """
        Raises:
            ValueError: the text is not of this form.
        """
        run, at, step = text.rpartition("@")
        if run and at and step == END:
            return Start(run, None)
        if run and at and step.isascii() and step.isdigit():
            return Start(run, int(step))
        raise ValueError(
            f"start_from must be RUN@STEP, STEP a number of updates or {END}; got {text!r}. "
            "`normlab runs ls` lists the runs."
        )

    def __str__(self) -> str:
        return f"{self.run}@{END if self.step is None else self.step}"
