"""What wandb's errors mean to a user."""

from __future__ import annotations


def is_wandbs(error: Exception) -> bool:
    """Whether the next run would fare no better."""
    return (
        isinstance(error, (ImportError, ConnectionError, TimeoutError))
        or type(error).__module__.partition(".")[0] == "wandb"
    )


def reason_of(error: Exception) -> str:
    """A line for a user."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "wandb":
        return "wandb is not installed"
    if "401" in text:
        return "the server refused the API key (401); `wandb login` sets another"
    if isinstance(error, TimeoutError) or "giving up" in text or "Timed out" in text:
        return "the server did not answer"
    return text.partition("\n")[0] or type(error).__name__
