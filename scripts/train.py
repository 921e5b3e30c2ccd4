"""Train one run, or with -m a sweep of them.

python scripts/train.py model=vgg11 norm=batch data=digits steps=200 'probe=[ics]' seed=0
python scripts/train.py -m norm=none,batch optimizer.lr=0.1,0.5 seed=0,1,2
"""

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to `main` below instead of being printed

gc.disable()  # collections during imports find nothing and take a fifth of a second

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONFIG_DIR = Path(__file__).resolve().parent.parent / "configs"


@hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name="train")
def train(config: DictConfig) -> None:
    from normlab.cli.train import run

    gc.freeze()
    gc.enable()
    try:
        plain = OmegaConf.to_container(config, resolve=True)
        assert isinstance(plain, dict)
        sys.exit(run({str(key): value for key, value in plain.items()}))
    except (ValueError, OmegaConfBaseException) as error:  # Hydra would add a line of its own
        refuse(str(error).splitlines()[0])
    except OSError as error:
        refuse(error.strerror or str(error))


def refuse(text: str) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)
    sys.exit(2)


def help_text() -> str:
    from normlab.cli import zoo

    return zoo.help_text(CONFIG_DIR)


def main() -> None:
    OmegaConf.register_new_resolver("normlab_help", help_text, replace=True)
    try:
        train()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        from normlab.cli.train import explain

        refuse(explain(error, sys.argv[1:], CONFIG_DIR))
    except OSError as error:  # a full disk, say; the runs it met are kept to be carried on
        refuse(error.strerror or str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
