"""Train one run, or with -m a sweep of them.

normlab train model=vgg11 norm=batch data=digits steps=200 'probe=[ics]' seed=0
normlab train -m norm=none,batch optimizer.lr=0.1,0.5 seed=0,1,2
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from normlab.config.places import packed_root

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Hydra's command line: the words are those of `sys.argv`."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed
    gc.disable()  # collections during imports find nothing and take a fifth of a second
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    configs = packed_root() / "configs"
    OmegaConf.register_new_resolver("normlab_help", lambda: _help_text(configs), replace=True)
    decorate = hydra.main(version_base="1.3", config_path=str(configs), config_name="train")
    try:
        decorate(_train)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        from normlab.cli.train.runs import explain

        _refuse(explain(error, sys.argv[1:], configs))
    except OSError as error:  # a full disk, say; the runs it met are kept to be carried on
        _refuse(error.strerror or str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _train(config: DictConfig) -> None:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from normlab.cli.train.runs import run

    gc.freeze()
    gc.enable()
    try:
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        sys.exit(run({str(key): value for key, value in plain.items()}))
    except (ValueError, OmegaConfBaseException) as error:  # Hydra would add a line of its own
        _refuse(str(error).splitlines()[0])
    except OSError as error:
        _refuse(error.strerror or str(error))


def _help_text(configs: Path) -> str:
    from normlab.cli.zoo_text import help_text

    return help_text(configs)


def _refuse(text: str) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(2)
