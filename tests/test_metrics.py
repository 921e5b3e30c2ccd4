"""The metric registry: names, layers, derived forms, axis texts, and what it refuses."""

import pytest

from normlab import metrics
from normlab.metrics import (
    METRICS,
    Metric,
    axis_text,
    describe,
    full_name,
    is_known,
    kind_of,
    register,
    repeats,
    split_name,
)

NAMES = [
    "train/loss",
    "train/penalty",
    "train/batch_accuracy",
    "train/accuracy",
    "test/loss",
    "test/accuracy",
    "val/loss",
    "val/accuracy",
    "optimizer/lr",
    "samples_per_second",
]
PER_LAYER = [
    "ics/l2",
    "ics/relative_l2",
    "ics/cosine",
    "ics/gradient_norm",
    "ics/moved_gradient_norm",
    "ics/update_norm",
    "ics/control",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_number_of_the_whole_network_has_no_layer(name: str) -> None:
    metric, layer = describe(name)
    assert (metric.name, metric.per_layer, layer) == (name, False, None)


@pytest.mark.parametrize("name", PER_LAYER)
@pytest.mark.parametrize("layer", ["conv5", "block3.conv2", "linear"])
def test_a_per_layer_number_names_its_layer(name: str, layer: str) -> None:
    metric, found = describe(f"{name}/{layer}")
    assert (metric.name, metric.per_layer, found) == (name, True, layer)


def test_every_metric_says_what_it_is() -> None:
    for metric in METRICS.values():
        assert metric.label, metric.name
        assert metric.doc.endswith("."), metric.name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("test/accuracy", "accuracy"),
        ("train/batch_accuracy", "accuracy"),
        ("best/val/accuracy", "accuracy"),
        ("val/loss", "loss"),
        ("best/train/loss", "loss"),
        ("steps_to/test/accuracy>=0.9", "steps"),
        ("train/penalty", "cost"),
        ("optimizer/lr", "cost"),
        ("samples_per_second", "cost"),
        ("training_seconds", "cost"),
        ("probe/seconds/ics", "cost"),
        ("ics/l2/conv5", "measurement"),
        ("best/ics/cosine/conv5", "measurement"),
        ("weights/sparsity", "measurement"),
        ("landscape/loss_min", "measurement"),
        ("statistics_gap/error_ema", "measurement"),
    ],
)
def test_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("metric", "layer", "name"),
    [
        ("train/loss", None, "train/loss"),
        ("ics/l2", "conv5", "ics/l2/conv5"),
        ("activations/after_norm/mean", "block1.conv2", "activations/after_norm/mean/block1.conv2"),
        ("ics/l2", "odd/name", "ics/l2/odd/name"),
        ("best/ics/l2", "conv5", "best/ics/l2/conv5"),
        ("steps_to/ics/l2/conv5<=1", None, "steps_to/ics/l2/conv5<=1"),
        ("probe/seconds/ics", None, "probe/seconds/ics"),
        ("ics/of_older_days/conv5", None, "ics/of_older_days/conv5"),
    ],
)
def test_a_metric_and_its_layer_are_one_word_and_come_apart_again(
    metric: str, layer: str | None, name: str
) -> None:
    assert full_name(metric, layer) == name
    assert split_name(name) == (metric, layer)


def test_no_metric_reads_as_a_layer_of_another() -> None:
    for metric in METRICS.values():
        layer = "conv5" if metric.per_layer else None
        assert split_name(full_name(metric.name, layer)) == (metric.name, layer)
    with pytest.raises(ValueError, match="'ics/l2/mine' reads as 'ics/l2' of the layer 'mine'"):
        register(Metric(name="ics/l2/mine", label="mine", doc="Mine."))
    with pytest.raises(ValueError, match=r"'ics/l2' reads as 'ics' .* another name for 'ics'"):
        register(Metric(name="ics", label="mine", doc="Mine.", per_layer=True))


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("test/accuracy", "higher"),
        ("test/loss", "lower"),
        ("ics/cosine", "higher"),
        ("ics/l2", "lower"),
        ("samples_per_second", "higher"),
        ("optimizer/lr", None),
    ],
)
def test_direction(name: str, direction: str | None) -> None:
    assert describe(name)[0].direction == direction


def test_steps_to_a_level() -> None:
    metric, layer = describe("steps_to/test/accuracy>=0.9")
    assert metric.name == "steps_to/test/accuracy>=0.9"
    assert metric.label == "steps to test accuracy of at least 0.9"
    assert (metric.unit, metric.direction, layer) == ("steps", "lower", None)
    falling, _ = describe("steps_to/train/loss<=0.01")
    assert falling.label == "steps to training loss of at most 0.01"
    of_layer, _ = describe("steps_to/ics/l2/conv5<=1")
    assert of_layer.label == "steps to ICS, L2 (conv5) of at most 1"


def test_seconds_of_a_probe() -> None:
    metric, layer = describe("probe/seconds/ics")
    assert (metric.label, metric.unit, metric.direction, layer) == (
        "time in probe ics",
        "s",
        "lower",
        None,
    )


def test_best_value_goes_by_direction() -> None:
    metric, _ = describe("best/test/accuracy")
    assert (metric.label, metric.unit, metric.direction) == (
        "best test accuracy",
        "fraction",
        "higher",
    )
    metric, layer = describe("best/ics/cosine/conv5")
    assert (metric.name, metric.label, layer) == ("best/ics/cosine", "best ICS, cosine", "conv5")
    with pytest.raises(ValueError, match="'best/optimizer/lr' is not defined: optimizer/lr has no"):
        describe("best/optimizer/lr")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("step", "step"),
        ("train/loss", "training loss"),
        ("test/accuracy", "test accuracy [fraction]"),
        ("samples_per_second", "training speed [samples/s]"),
        ("ics/cosine/conv5", "ICS, cosine (conv5)"),
        ("ics/cosine", "ICS, cosine"),
        ("probe/seconds/ics", "time in probe ics [s]"),
        ("steps_to/test/accuracy>=0.9", "steps to test accuracy of at least 0.9 [steps]"),
    ],
)
def test_axis_text(name: str, text: str) -> None:
    assert axis_text(name) == text


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("test/acuracy", "test/accuracy"),
        ("ics/l3/conv1", "ics/l2/conv1"),
        ("test/accuracy/conv1", "test/accuracy"),
        ("ics/l2/", "ics/l2/"),
        ("", None),
        ("probe/seconds/", None),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, nearest: str | None) -> None:
    with pytest.raises(ValueError, match="no metric is called") as caught:
        describe(name)
    assert nearest is None or f"Nearest: '{nearest}'" in str(caught.value)


def test_a_level_must_be_a_number_of_a_known_metric() -> None:
    with pytest.raises(ValueError, match="must be a number; got 'high'"):
        describe("steps_to/test/accuracy>=high")
    with pytest.raises(ValueError, match="no metric is called 'test/speed'"):
        describe("steps_to/test/speed>=1")


def test_probes_are_asked_before_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that only reads has imported none of them."""
    asked: list[str] = []

    def import_probes(group: str) -> None:
        asked.append(group)
        register(Metric(name="mine/late", label="late", doc="Late.", per_layer=True))

    monkeypatch.setattr(metrics.registry, "choices", import_probes)
    assert split_name("ics/l2/conv1") == ("ics/l2", "conv1")
    assert not is_known("chance")
    assert asked == []
    assert split_name("mine/late/conv1") == ("mine/late", "conv1")
    assert not is_known("mine/other")
    assert not is_known("best/mine/late")
    assert asked == ["probe"] * 2


def test_one_may_register_a_metric_of_ones_own() -> None:
    with pytest.raises(ValueError, match="no metric"):
        describe("mine/sharpness/conv1")
    register(Metric(name="mine/sharpness", label="sharpness", doc="Mine.", per_layer=True))
    assert describe("mine/sharpness/conv1")[1] == "conv1"
    with pytest.raises(ValueError, match="'mine/sharpness' is already registered"):
        register(Metric(name="mine/sharpness", label="other", doc="Other."))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/loss", True),
        ("optimizer/lr", True),
        ("ics/l2/conv5", True),
        ("of/older/days", True),
        ("samples_per_second", False),
        ("training_seconds", False),
        ("probe/seconds/ics", False),
        ("probe/peak_memory/ics", False),
        ("probe/thinning/ics", False),
    ],
)
def test_what_a_clock_or_a_memory_tells_does_not_repeat(name: str, expected: bool) -> None:
    assert repeats(name) == expected
