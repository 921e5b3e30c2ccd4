"""The network of a run that has been trained."""

from __future__ import annotations

from normlab.config import RunConfig
from normlab.config.convert import run_config
from normlab.models.chain import Chain
from normlab.randomness import Clock
from normlab.records.folder import RunFolder
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import parameter_dtype
from normlab.training.setup import build_model


def load_trained(folder: RunFolder) -> tuple[RunConfig, Chain]:
    """A finished run's configuration and its network as training left it, on the CPU, in
    evaluation mode.

    Raises:
        ValueError: the run has not finished, or its checkpoint was not kept.
    """
    if folder.state() != "finished" or not folder.checkpoint_path.exists():
        raise ValueError(
            f"the network of {folder.name} needs a finished run that kept its checkpoint; the run "
            f"is {folder.state()} and {folder.checkpoint_path} "
            f"{'exists' if folder.checkpoint_path.exists() else 'does not exist'}. Give "
            "checkpoint.keep_final=true when it is trained; a finished run's folder is deleted "
            "first."
        )
    config = run_config(folder.config())
    checkpoint = Checkpoint.load(folder.checkpoint_path)
    model = build_model(config, Clock(checkpoint.step)).to(parameter_dtype(config.precision))
    model.load_state_dict(checkpoint.model)
    return config, model.eval()
