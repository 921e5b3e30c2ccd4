"""How well a network does: losses and accuracies."""

from normlab.metrics.metric import Metric

HEADLINES = (
    "test/accuracy",
    "val/accuracy",
    "train/accuracy",
    "test/loss",
    "val/loss",
    "train/loss",
)
"""What is said of a run where there is room for little, what says most first."""

_PRECISE = (
    "by precise population statistics (eval.precise), taken at the weights evaluated over as many "
    "training samples as eval.limit says, or 10,000; of a network without any it is {}."
)


def _precise_accuracy(split: str, label: str) -> Metric:
    name = f"{split}/accuracy"
    return Metric(
        name=f"{split}/precise_accuracy",
        label=f"{label} accuracy, precise statistics",
        unit="fraction",
        direction="higher",
        kind="accuracy",
        doc=f"What {name} is of, {_PRECISE.format(name)}",
        bounds=(0.0, 1.0),
    )


def _precise_loss(split: str, label: str) -> Metric:
    name = f"{split}/loss"
    return Metric(
        name=f"{split}/precise_loss",
        label=f"{label} loss, precise statistics",
        direction="lower",
        kind="loss",
        doc=f"What {name} is of, {_PRECISE.format(name)}",
    )


SCORES = (
    Metric(
        name="test/loss",
        label="test loss",
        direction="lower",
        kind="loss",
        doc="Data term of the loss, over the official held-out split in evaluation mode.",
    ),
    Metric(
        name="test/accuracy",
        label="test accuracy",
        unit="fraction",
        direction="higher",
        kind="accuracy",
        doc="Share of samples classified correctly, over the official held-out split in evaluation "
        "mode.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="val/loss",
        label="validation loss",
        direction="lower",
        kind="loss",
        doc="Data term of the loss, over data.validation_fraction of the training set, held out.",
    ),
    Metric(
        name="val/accuracy",
        label="validation accuracy",
        unit="fraction",
        direction="higher",
        kind="accuracy",
        doc="Share of samples classified correctly, over data.validation_fraction of the training "
        "set, held out.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="train/loss",
        label="training loss",
        direction="lower",
        kind="loss",
        doc="Data term of the loss on the step's batch, in training mode, before its update.",
    ),
    Metric(
        name="train/penalty",
        label="weight penalty",
        direction="lower",
        kind="cost",
        doc="1/2 lambda sum w^2 + alpha sum |w| over what is penalized; not part of train/loss.",
    ),
    Metric(
        name="train/batch_accuracy",
        label="batch accuracy",
        unit="fraction",
        direction="higher",
        kind="accuracy",
        doc="Share of the step's batch classified correctly, in training mode.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="train/accuracy",
        label="training accuracy",
        unit="fraction",
        direction="higher",
        kind="accuracy",
        doc="Evaluation mode, over a fixed seeded subset of the training set "
        "as large as the test set.",
        bounds=(0.0, 1.0),
    ),
    _precise_accuracy("test", "test"),
    _precise_accuracy("val", "validation"),
    _precise_accuracy("train", "training"),
    _precise_loss("test", "test"),
    _precise_loss("val", "validation"),
)
