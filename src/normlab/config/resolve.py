"""Work out every default of a configuration: the result is stored with the run and hashed."""

import dataclasses
import math

from normlab.config.run import SPLITS, ResolvedEvalConfig, ResolvedRun, RunConfig

NUM_EVALUATIONS = 20
NUM_RECORDED_LOSSES = 500

NOT_SCIENCE = (
    "tracker",
    "launcher",
    "checkpoint.every",
    "checkpoint.keep_final",
    "device",
    "num_threads",
    "results_dir",
    "data.root",
    "data.path",
)
"""Settings that say where and how a run is carried out, never what it computes."""

MEASUREMENT = ("probe", "probe_budget", "eval", "checkpoint")
"""Settings that say what is observed of a training that is the same without them."""


def resolve(config: RunConfig, num_train_samples: int) -> ResolvedRun:
    """The same run with defaults worked out and settings without effect at their defaults.

    `steps` is a number and `epochs` None; `data.resize` is the side in pixels or None; `eval` and
    probes have their intervals. Two configurations that train and measure the same resolve to
    equal ones.
    """
    num_steps = config.num_steps(num_train_samples)
    data = config.data.canonical()
    limit = _unless(data.limit, data.num_stored_samples)
    norm = config.norm.canonical().within(num_steps)
    every = config.eval.every or max(1, math.ceil(num_steps / NUM_EVALUATIONS))
    record_every = config.eval.record_every or max(1, math.ceil(num_steps / NUM_RECORDED_LOSSES))
    keep = tuple(sorted(set(config.checkpoint.keep)))
    if keep and keep[-1] > num_steps:
        raise ValueError(
            f"checkpoint.keep must name steps of the run, at most {num_steps}, its length; got "
            f"{keep[-1]}."
        )
    probes = sorted(config.probe, key=lambda probe: probe.NAME)
    splits = tuple(split for split in config.splits if split in config.eval.splits)
    draws = config.dropout or config.noise.activation or config.norm.DRAWS_NOISE
    precise = config.eval.precise
    own = vars(config.eval) | {
        "every": every,
        "record_every": record_every,
        "splits": splits if splits != config.splits else SPLITS,
        "batch_size": _unless(config.eval.batch_size, config.batch_size),
        "precise": "as_trained" if precise and not draws else precise,
    }
    settings = vars(config) | {
        "model": config.model.effective_beside(norm),
        "norm": config.model.effective_norm(norm),
        "init": config.init.canonical(),
        "data": dataclasses.replace(data, limit=limit, resize=config.image_size()),
        "optimizer": config.optimizer.canonical(),
        "schedule": config.schedule.canonical(),
        "regularizer": config.regularizer.canonical(),
        "probe": tuple(p.canonical().resolved(num_steps) for p in probes),
        "eval": ResolvedEvalConfig(**own),
        "checkpoint": dataclasses.replace(config.checkpoint, keep=keep),
        "inserted_norms": config.inserted_norms if config.start_from else "identity",
        "inverted_dropout": config.inverted_dropout or not config.dropout,
        "steps": num_steps,
        "epochs": None,
    }
    return ResolvedRun(**settings)


def _unless(value: int | None, default: int) -> int | None:
    """None, which stands for the default, where that is what was asked for."""
    return None if value == default else value
