"""What a run was asked for and what it took; a probe's price is in `normlab.metrics.derived`."""

from normlab.metrics.metric import Metric

COST = (
    Metric(
        name="optimizer/lr",
        label="learning rate",
        kind="cost",
        doc="optimizer.lr times the schedule's factor at the step.",
    ),
    Metric(
        name="training_seconds",
        label="time in training",
        unit="s",
        direction="lower",
        kind="cost",
        repeats=False,
        doc="Wall time of forward, backward and the optimizer's step, evaluation and probes left "
        "out; of a run that was carried on, its last part's.",
    ),
    Metric(
        name="samples_per_second",
        label="training speed",
        unit="samples/s",
        direction="higher",
        kind="cost",
        repeats=False,
        doc="Samples trained on per second of wall time, evaluation and probes left out.",
    ),
)
