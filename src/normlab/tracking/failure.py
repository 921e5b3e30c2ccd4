"""Errors of wandb, in words for a user."""

from __future__ import annotations

import re
from collections.abc import Iterator

STATUSES = {
    401: "the server refused the API key (401); `wandb login` sets another",
    403: "the server forbids it to this account (403)",
    404: "the server has no such thing (404): are entity and project right?",
    429: "the server asks to wait, there were too many requests (429); try again later",
}
NO_KEY = "there is no API key; `wandb login` or WANDB_API_KEY sets one"
NO_ANSWER = "the server did not answer"
OTHERS_ANSWER = "what answered is no W&B server; WANDB_BASE_URL says which one is asked"
NO_CORE = "wandb's own process, wandb-core, broke down"

_STATUS = re.compile(r"(?:returned error|HTTP) ([45]\d\d)\b|\b([45]\d\d) [A-Z][a-z]")
_WORDS = (
    (re.compile(r"no-tty|No API key|No authentication"), NO_KEY),
    (re.compile(r"did not recognize an account|permission denied"), STATUSES[401]),
    (
        re.compile(
            r"invalid character|\bEOF\b|cannot unmarshal|malformed|tls: |x509: |redirects"
            r"|validation errors? for"
        ),
        OTHERS_ANSWER,
    ),
    (re.compile(r"giving up|[Tt]imed out|deadline exceeded|did not respond in time"), NO_ANSWER),
    (re.compile(r"service process is not running|HandleAbandonedError"), NO_CORE),
)


def concerns_every_run(error: Exception) -> bool:
    """Whether an error is W&B's own (not installed, no server), so that every run would meet it."""
    return (
        isinstance(error, (ImportError, ConnectionError, TimeoutError))
        or type(error).__module__.partition(".")[0] == "wandb"
    )


def reason_of(error: Exception) -> str:
    """The error in one line for a user."""
    if isinstance(error, ModuleNotFoundError) and error.name == "wandb":
        return "wandb is not installed"
    if isinstance(error, TimeoutError):
        return f"{NO_ANSWER} ({error})" if str(error) else NO_ANSWER
    if (status := _status(error)) is not None:
        kind = "failed" if status >= 500 else "refused"
        return STATUSES.get(status, f"the server {kind} ({status})")
    text = f"{type(error).__name__}: {error}"
    for pattern, words in _WORDS:
        if pattern.search(text):
            return words
    return str(error).partition("\n")[0] or type(error).__name__


def _status(error: Exception) -> int | None:
    """The HTTP status that a server has refused with, where there is one."""
    for cause in _causes(error):
        status = getattr(getattr(cause, "response", None), "http_status", 0)
        if status:
            return int(status)
        if found := _STATUS.search(str(cause)):
            return int(found[1] or found[2])
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
