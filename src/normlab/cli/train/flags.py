"""Hydra's flags: `-m` makes a sweep; `--help`, `--cfg`, `--info` show something instead."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from normlab.cli.parser import Parser
from normlab.config.compose import Composer, is_hydras, parse, refuse_hydra, refuse_hydra_launching
from normlab.config.errors import ConfigError
from normlab.config.source import CONFIG_NAME

NOT_TAKEN = ("config_name", "config_path", "config_dir", "experimental_rerun")


def read_flags(arguments: Sequence[str], prog: str | None = None) -> argparse.Namespace:
    """The words of a command line, `overrides`, and what its flags ask for.

    Args:
        prog: what was typed before the arguments; default: the script's name.

    Raises:
        ConfigError: for a flag that would have Hydra read other configs than normlab does, and a
            word that would have it launch runs, or set what only --cfg and the like show.
    """
    parser = Parser(prog=prog, parents=[get_args_parser()], add_help=False)
    asked = parser.parse_args(arguments)
    for flag in ("resolve", "package"):
        if getattr(asked, flag) and not asked.cfg:
            raise ConfigError(f"--{flag} says how --cfg prints a configuration; add --cfg job.")
    for name in NOT_TAKEN:
        if getattr(asked, name) is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')}: normlab composes a run from its own configs and "
                "those in configs/ of the folder one stands in. Put the file there."
            )
    refuse = refuse_hydra_launching if _shows(asked) else refuse_hydra
    for override in parse(asked.overrides):
        refuse(override)
    return asked


def _shows(asked: argparse.Namespace) -> bool:
    """Whether something is printed in place of a run."""
    flags = (asked.help, asked.hydra_help, asked.cfg, asked.info, asked.shell_completion)
    return any(flags)


def show(asked: argparse.Namespace, composer: Composer, help_text: Callable[[], str]) -> bool:
    """Print what the flags ask for, and say whether they ask for anything.

    Raises:
        ConfigError: for words that cannot be composed.
    """
    words, hydra = asked.overrides, composer.hydra
    if not _shows(asked):
        return False
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed
    OmegaConf.register_new_resolver("normlab_help", help_text, replace=True)
    try:
        if asked.help:
            hydra.app_help(CONFIG_NAME, get_args_parser(), asked)
        elif asked.hydra_help:
            hydra.hydra_help(CONFIG_NAME, get_args_parser(), asked)
        elif asked.cfg:
            hydra.show_cfg(CONFIG_NAME, words, asked.cfg, asked.package, asked.resolve)
        elif asked.info:
            hydra.show_info(asked.info, CONFIG_NAME, words)
        else:
            hydra.shell_completion(CONFIG_NAME, words)
    except (HydraException, OmegaConfBaseException) as error:
        ours = [str(one.input_line) for one in parse(words) if not is_hydras(one)]
        composer.compose(ours)  # says it in our words
        raise ConfigError(str(error).strip().splitlines()[0]) from None
    return True
