"""The network of a run that has been trained."""

from __future__ import annotations

from typing import NamedTuple

from normlab.config import ResolvedRun
from normlab.config.convert import resolved_run
from normlab.models.chain import Chain
from normlab.randomness import Clock
from normlab.records.folder import RunFolder
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import parameter_dtype
from normlab.training.setup import build_model
from normlab.training.start import TRAIN_AGAIN, kept_checkpoint, refuse_other_network


class Trained(NamedTuple):
    """A run's configuration, and its network on the CPU, in evaluation mode."""

    config: ResolvedRun
    model: Chain


def load_trained(folder: RunFolder, step: int | None = None) -> Trained:
    """A finished run's network as it was before update `step`; None: as training left it.

    Raises:
        ValueError: the run has not finished, diverged before, or has not kept that checkpoint.
    """
    path = None
    if folder.state() == "finished":
        path = kept_checkpoint(folder, folder.config()["steps"] if step is None else step)
    if path is None:
        diverged = folder.status().get("outcome") == "diverged"
        stands = "diverged" if diverged else f"is {folder.state()}"
        kept = sorted(path.name for path in folder.path.glob("checkpoint*.pt"))
        raise ValueError(
            f"the network of {folder.name} needs a finished run that kept its checkpoint; the run "
            f"{stands} and has kept {', '.join(kept) or 'none'}. Give "
            "checkpoint.keep_final=true, or checkpoint.keep=[STEP], when it is trained; a finished "
            "run's folder is deleted first."
        )
    config = resolved_run(folder.config())
    checkpoint = Checkpoint.load(path, TRAIN_AGAIN)
    model = build_model(config, Clock(checkpoint.step)).to(parameter_dtype(config.precision))
    refuse_other_network(path, checkpoint.model, config)
    model.load_state_dict(checkpoint.model)
    return Trained(config, model.eval())
