"""Errors of wandb, in words for a user."""

from __future__ import annotations


def concerns_every_run(error: Exception) -> bool:
    """Whether an error is W&B's own (not installed, no server), so that every run would meet it."""
    return (
        isinstance(error, (ImportError, ConnectionError, TimeoutError))
        or type(error).__module__.partition(".")[0] == "wandb"
    )


def reason_of(error: Exception) -> str:
    """The error in one line for a user."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "wandb":
        return "wandb is not installed"
    if "401" in text:
        return "the server refused the API key (401); `wandb login` sets another"
    if isinstance(error, TimeoutError) or "giving up" in text or "Timed out" in text:
        return "the server did not answer"
    return text.partition("\n")[0] or type(error).__name__
