"""Kinds of normalization statistics, and how far they lie apart (Wu & Johnson 2021)."""

from normlab.metrics.metric import Metric


def _distances(name: str, words: str) -> tuple[Metric, Metric]:
    return (
        Metric(
            name=f"statistics_gap/{name}_mean",
            skewed=True,
            label=f"distance of the {words} mean from the population's",
            direction="lower",
            doc=f"||mu - mu_pop|| / ||sigma_pop|| of the {words} means.",
            per_layer=True,
        ),
        Metric(
            name=f"statistics_gap/{name}_variance",
            skewed=True,
            label=f"distance of the {words} variance from the population's",
            direction="lower",
            doc=f"||var - var_pop|| / ||var_pop|| of the {words} variances.",
            per_layer=True,
        ),
    )


STATISTICS_GAP = (
    *_distances("ema", "running"),
    *_distances("batch", "mini-batch"),
    *(
        Metric(
            name=f"statistics_gap/error_{name}",
            label=f"test error by {words}",
            direction="lower",
            doc=f"Share of held-out samples misclassified when evaluated by {words}; of a "
            "regression, the squared distance a sample.",
        )
        for name, words in (
            ("ema", "running statistics"),
            ("precise", "population statistics"),
            ("batch", "mini-batch statistics"),
        )
    ),
    Metric(
        name="statistics_gap/num_samples",
        label="samples of the population statistics",
        unit="samples",
        doc="Training samples that the population statistics are taken over (PreciseBN).",
    ),
    Metric(
        name="statistics_gap/statistics",
        label="statistics",
        doc="(6, C): the running, the population's and the batch's mean and variance, in this "
        "order.",
        per_layer=True,
        array=True,
    ),
)
