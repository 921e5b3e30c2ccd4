"""Where text for people goes."""

from rich.console import Console

PIPED_WIDTH = 160


def make_console() -> Console:
    """A console for people; what is piped or logged is not folded to a narrow terminal's width."""
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "run"), plural(2, "run")
    ('1 run', '2 runs')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
