"""The loss landscape along a step (Santurkar et al. 2018, Fig 4, 10 and 11)."""

from normlab.metrics.metric import Metric

OVER_POINTS = (
    "over the step sizes a of probe.landscape.range on the step's batch; with "
    "probe.landscape.direction=random, along a random direction as long as g."
)

AT_A_POINT = (
    "at one distance, the step a of a point of probe.landscape.curve; in the place of a layer "
    "stands a in learning rates."
)

LANDSCAPE = (
    Metric(
        name="landscape/loss_min",
        skewed=True,
        label="least loss along the gradient",
        direction="lower",
        doc=f"Least loss at theta - a g, {OVER_POINTS}",
    ),
    Metric(
        name="landscape/loss_max",
        skewed=True,
        label="greatest loss along the gradient",
        direction="lower",
        doc=f"Greatest loss at theta - a g, {OVER_POINTS}",
    ),
    Metric(
        name="landscape/gradient_change_min",
        skewed=True,
        label="least gradient change",
        direction="lower",
        doc="Least ||grad L(theta - a g) - g||, the gradient predictiveness of Santurkar et al. "
        f"2018, {OVER_POINTS}",
    ),
    Metric(
        name="landscape/gradient_change_max",
        skewed=True,
        label="greatest gradient change",
        direction="lower",
        doc="Greatest ||grad L(theta - a g) - g||, the gradient predictiveness of Santurkar et al. "
        f"2018, {OVER_POINTS}",
    ),
    Metric(
        name="landscape/beta",
        skewed=True,
        label="effective beta-smoothness",
        direction="lower",
        doc="Greatest ||grad L(theta - a g) - g|| / (a ||g||), over the distance moved, "
        f"{OVER_POINTS}",
    ),
    Metric(
        name="landscape/beta_per_step_size",
        skewed=True,
        label="gradient change over step size",
        direction="lower",
        doc=f"Greatest ||grad L(theta - a g) - g|| / a: landscape/beta times ||g||, {OVER_POINTS}",
    ),
    Metric(
        name="landscape/two_over_lr",
        label="2 / learning rate",
        doc="Where curvature settles when plain gradient descent trains at the edge of stability "
        "(Cohen et al. 2021). Over the range vgg, whose least step is lr / 2, it is also about the "
        "most that landscape/beta comes to where gradients there are no longer than g.",
    ),
    Metric(
        name="landscape/gradient_norm",
        skewed=True,
        label="gradient norm",
        doc="||g|| over all parameters.",
    ),
    Metric(
        name="landscape/control",
        label="landscape, zero-move control",
        direction="lower",
        doc="||g' - g|| with g' recomputed by the probe's own path, nothing moved: the noise floor "
        "of the gradient changes.",
    ),
    Metric(
        name="landscape/curves",
        label="the landscape's points",
        doc="(4, num_points): step size a, distance a ||g||, loss and gradient change of each.",
        array=True,
    ),
    Metric(
        name="landscape/curve/distance",
        label="distance moved along the gradient",
        doc=f"a ||g||, {AT_A_POINT}",
        per_layer=True,
    ),
    Metric(
        name="landscape/curve/loss_change",
        label="change of the loss along the gradient",
        doc=f"L(theta - a g) - L(theta), {AT_A_POINT}",
        per_layer=True,
    ),
    Metric(
        name="landscape/curve/gradient_change",
        label="change of the gradient",
        direction="lower",
        doc=f"||grad L(theta - a g) - g||, {AT_A_POINT}",
        per_layer=True,
    ),
    Metric(
        name="landscape/curve/beta",
        label="change of the gradient over distance",
        direction="lower",
        doc=f"||grad L(theta - a g) - g|| / (a ||g||), {AT_A_POINT}",
        per_layer=True,
    ),
)
