"""The scales at which an experiment can be made; no import, since every command line has them."""

SCALES = ("smoke", "small", "medium", "paper")
"""From the quickest to the paper's own."""

FIRST_LOOK = "smoke"
"""The scale at which claims only show how they are judged: seconds of training on toy data."""
