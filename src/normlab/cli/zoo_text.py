"""Every choice of every group and every setting, as read from `configs/` and the code.

`python scripts/train.py --help` prints them; `python scripts/zoo.py --output docs/zoo.md` writes
them to the page.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from normlab.config.registry import MODULES
from normlab.config.run import RunConfig
from normlab.config.settings import described
from normlab.config.source import CONFIG_NAME, class_of, completed
from normlab.records.flatten import written

WIDTH = 100
INDENT = 18


@dataclass(frozen=True, kw_only=True)
class Setting:
    key: str
    """Dotted, as on the command line."""
    default: str
    doc: str

    @property
    def word(self) -> str:
        return f"{self.key}={self.default}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    name: str
    line: str
    """What it is: the comment at the head of its YAML file."""
    settings: tuple[Setting, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    name: str
    default: str
    choices: tuple[Choice, ...]

    @property
    def common(self) -> list[str]:
        """Settings, with their default, that every choice has."""
        each = [[setting.word for setting in choice.settings] for choice in self.choices]
        return [word for word in each[0] if all(word in words for words in each)]


def groups(*folders: Path) -> list[Group]:
    """The groups in the order of train.yaml, each with its choices.

    Args:
        folders: the configs that came with normlab, then one's own.
    """
    defaults = [entry for entry in _train(folders[0])["defaults"] if isinstance(entry, dict)]
    files = [file for folder in folders for file in folder.glob("*/*.yaml")]
    return [
        Group(
            name=name,
            default=written(value) if not isinstance(value, list) else "[]",
            choices=tuple(
                _choice(name, file)
                for file in sorted(files, key=_number_last)
                if file.parent.name == name
            ),
        )
        for entry in defaults
        for name, value in entry.items()
        if name in MODULES
    ]


def run_settings(folder: Path) -> list[Setting]:
    """The settings of a run beside those of its components."""
    found: list[Setting] = []
    docs, hints = meanings(RunConfig), get_type_hints(RunConfig)
    for key, value in completed("", CONFIG_NAME, _train(folder)).items():
        if key in ("defaults", "hydra"):
            continue
        if not isinstance(value, dict):
            found.append(Setting(key=key, default=_written(value), doc=docs.get(key, "")))
        elif dataclasses.is_dataclass(hints[key]):
            found += _settings(key, value, hints[key])
        else:  # a group's own, such as probe.budget, is the field probe_budget
            found += [
                Setting(
                    key=f"{key}.{name}", default=written(inner), doc=docs.get(f"{key}_{name}", "")
                )
                for name, inner in value.items()
            ]
    return found


def _number_last(path: Path) -> tuple[str, int]:
    """Sorts resnet20 before resnet110."""
    word = path.stem.rstrip("0123456789")
    return word, int(path.stem.removeprefix(word) or 0)


def _choice(group: str, path: Path) -> Choice:
    text = path.read_text()
    head = list(takewhile(lambda line: line.startswith("#"), text.splitlines()))
    package = next((line.split()[-1] for line in head if line.startswith("# @package")), None)
    values = yaml.safe_load(text) or {}
    cls = class_of(group, values, package)
    values = completed(group, path.stem, values, package)
    settings = {name: value for name, value in values.items() if name not in ("name", "defaults")}
    return Choice(
        name=path.stem,
        line=" ".join(line[1:].strip() for line in head if not line.startswith("# @package")),
        settings=_settings(package if group == "probe" and package else group, settings, cls),
    )


def _settings(key: str, values: Mapping[str, Any], cls: type[Any] | None) -> tuple[Setting, ...]:
    docs = {} if cls is None else meanings(cls)
    return tuple(
        Setting(key=f"{key}.{name}", default=_written(value), doc=docs.get(name, ""))
        for name, value in values.items()
        if not isinstance(value, Mapping)
    )


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return written(value)


def meanings(cls: Any) -> dict[str, str]:
    """What each setting of a dataclass means, as a user of YAML says it."""
    return {name: said.doc.replace("None", "null") for name, said in described(cls).items()}


def _train(config_dir: Path) -> dict[str, Any]:
    train = yaml.safe_load((config_dir / "train.yaml").read_text())
    assert isinstance(train, dict)
    return train


def help_text(*folders: Path) -> str:
    """What a run is composed of, for a terminal."""
    lines = [
        "Train one run, or with -m a sweep of them.",
        "",
        "  normlab train model=vgg11 norm=batch data=digits steps=200 'probe=[ics]'",
        "  normlab train -m norm=none,batch optimizer.lr=0.1,0.5 seed=0,1,2",
        "",
        "docs/zoo.md says what each setting means.",
    ]
    for group in groups(*folders):
        lines += ["", f"{group.name}=NAME (default: {group.default})"]
        for choice in group.choices:
            words = [setting.word for setting in choice.settings]
            lines += _wrapped(f"  {choice.name}", [choice.line])
            lines += _wrapped("", [word for word in words if word not in group.common])
        lines += _wrapped("  each of them", group.common)
    lines += ["", "and for every run"]
    lines += _wrapped("", [setting.word for setting in run_settings(folders[0])])
    return "\n".join(lines)


def _wrapped(head: str, words: Sequence[str]) -> list[str]:
    """Words behind a head, on further lines where one does not hold them."""
    if not words:
        return []
    first = f"{head:{INDENT - 2}}  "
    return textwrap.wrap(
        "  ".join(words),
        width=WIDTH,
        initial_indent=first,
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def markdown(*folders: Path) -> str:
    """The same as a page, with the meaning of each setting."""
    lines = [
        "# The zoo",
        "",
        "Every choice and every setting of a run, as `python scripts/train.py` takes them. Written",
        "by `python scripts/zoo.py --output docs/zoo.md` from `configs/` and the code; a test",
        "compares. What each part computes, with formula and paper, stands in the docstring of its",
        "class.",
    ]
    for group in groups(*folders):
        lines += ["", f"## {group.name}", "", f"`{group.name}={group.default}` by default.", ""]
        lines += ["| choice | |", "| --- | --- |"]
        lines += [f"| `{group.name}={c.name}` | {_cell(c.line)} |" for c in group.choices]
        lines += _settings_table(group)
    lines += ["", "## Settings of every run", "", "| setting | default | |", "| --- | --- | --- |"]
    lines += [f"| {_row(setting)} |" for setting in run_settings(folders[0])]
    return "\n".join(lines) + "\n"


def _settings_table(group: Group) -> list[str]:
    owners: dict[Setting, list[str]] = {}
    for choice in group.choices:
        for setting in choice.settings:
            owners.setdefault(setting, []).append(choice.name)
    if not owners:
        return []
    rows = [
        f"| {_row(setting)} | {'all' if len(names) == len(group.choices) else ', '.join(names)} |"
        for setting, names in owners.items()
    ]
    return ["", "| setting | default | | of |", "| --- | --- | --- | --- |", *rows]


def _row(setting: Setting) -> str:
    return f"`{setting.key}` | `{setting.default}` | {_cell(setting.doc)}"


def _cell(text: str) -> str:
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("*", "\\*") for part in parts[::2]]  # those outside backticks
    return "`".join(parts)
