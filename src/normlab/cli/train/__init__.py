"""Train one run, or with -m a sweep of them.

normlab train model=vgg11 norm=batch data=digits steps=200 'probe=[ics]' seed=0
normlab train -m norm=none,batch optimizer.lr=0.1,0.5 seed=0,1,2
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from normlab import __version__
from normlab.cli.command import tell_error, told_by_system
from normlab.cli.output import go_on_unread
from normlab.cli.start import STOPPED, say_stopped


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> NoReturn:
    """Carry out words and flags in Hydra's grammar, and end the process.

    Args:
        arguments: default: those of `sys.argv`.
        prog: what was typed before them, for the help.
    """
    gc.disable()  # collections during imports find nothing and take a fifth of a second
    from omegaconf.errors import OmegaConfBaseException

    from normlab.config.errors import ConfigError

    try:
        sys.exit(_carry_out(sys.argv[1:] if arguments is None else arguments, prog))
    except ConfigError as error:
        _refuse(str(error))
    except (ValueError, OmegaConfBaseException) as error:
        _refuse(str(error).strip().splitlines()[0])
    except OSError as error:  # a full disk, say; the runs it met are kept to be carried on
        _refuse(told_by_system(error))
    except KeyboardInterrupt:
        say_stopped()
        sys.exit(STOPPED)


def _carry_out(arguments: Sequence[str], prog: str | None) -> int:
    from normlab.cli.train.flags import read_flags, show
    from normlab.config.compose import Composer
    from normlab.plan.grid import refuse_lists

    if "--version" in arguments:  # Hydra would name its own
        print(f"normlab {__version__}")
        return 0
    asked = read_flags(arguments, prog)
    words, composer = asked.overrides, Composer.at(Path.cwd())
    if show(asked, composer, _help_text):
        return 0
    if not asked.multirun:
        refuse_lists(words)
        plain = composer.compose(words)
    from normlab.cli.train.runs import run, sweep

    gc.freeze()
    gc.enable()
    go_on_unread()
    return sweep(words, composer) if asked.multirun else run(plain)


def _help_text() -> str:
    from normlab.cli.zoo_text import help_text
    from normlab.config.places import Places

    return help_text(*Places(Path.cwd()).configs)


def _refuse(text: str) -> NoReturn:
    tell_error(text)
    sys.exit(2)
