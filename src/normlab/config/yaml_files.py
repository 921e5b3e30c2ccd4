"""YAML files that people write, read so that every complaint names file, line and key.

Plain YAML alone is taken: mappings with words as keys, lists, texts, numbers, true, false and
null. Values are those that PyYAML's safe loader gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.config.errors import ConfigError, hint

Keys = tuple[str | int, ...]

MOST_VALUES = 100_000
"""In a file, each reference to an anchor counted as all that it stands for."""

_PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
)


@dataclass(frozen=True)
class Entry:
    """A value of a file, or all of it, which knows where it stands."""

    where: str
    """The file, as texts name it."""
    value: Any
    keys: Keys = ()
    lines: Mapping[Keys, int] = field(default_factory=dict, repr=False)
    """Where each key of the file stands, the first line being 1."""

    def error(self, text: str, example: str | None = None) -> ConfigError:
        """An error that names the file, the line and the key, and shows how it is written."""
        shown = "" if example is None else f" Such as:\n\n{_indented(example)}"
        return ConfigError(f"{self.place}: {self._named}{text}{shown}")

    @property
    def place(self) -> str:
        """The file and the line, as far as it is known."""
        for length in range(len(self.keys), 0, -1):
            if self.keys[:length] in self.lines:
                return f"{self.where}, line {self.lines[self.keys[:length]]}"
        return self.where

    def __getitem__(self, key: str | int) -> Entry:
        return Entry(self.where, self.value[key], (*self.keys, key), self.lines)

    def get(self, key: str) -> Entry | None:
        """The entry under a key; None where there is none, or nothing behind it."""
        return None if self.value.get(key) is None else self[key]

    def refuse_other_keys(self, valid: Sequence[str], example: str | None = None) -> None:
        """
        Raises:
            ConfigError: for what is no mapping, and for a key that is not among the valid ones.
        """
        self.require(dict, "settings under keys", example)
        for key in self.value:
            if key not in valid:
                raise ConfigError(
                    f"{self[key].place}: {self[key]._name}: there is no such key."
                    + hint(str(key), valid, "Keys")
                )

    def require(self, kind: type | tuple[type, ...], what: str, example: str | None = None) -> Any:
        """The value, which has to be of a kind.

        Raises:
            ConfigError: it is not.
        """
        if not isinstance(self.value, kind) or (isinstance(self.value, bool) and kind is int):
            raise self.error(f"must be {what}; got {shown(self.value)}.", example)
        return self.value

    def items(self) -> Iterator[tuple[str, Entry]]:
        for key in self.value:
            yield str(key), self[key]

    def __iter__(self) -> Iterator[Entry]:
        for index in range(len(self.value)):
            yield self[index]

    @property
    def _name(self) -> str:
        name = ""
        for key in self.keys:
            name += f"[{key}]" if isinstance(key, int) else f".{key}" if name else str(key)
        return name

    @property
    def _named(self) -> str:
        return f"{self._name} " if self._name else ""


def read_yaml(path: Path, where: str, *, may_be_empty: bool = False) -> Entry:
    """What a file holds.

    Args:
        where: how texts name the file.
        may_be_empty: it then holds settings under no key.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it cannot be read, is empty, or is no plain YAML.
    """
    import yaml

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where}: not a text in UTF-8: byte {error.start} is "
            f"0x{error.object[error.start]:02x}. Save it as UTF-8."
        ) from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {_problem(error, text)}") from None
    except RecursionError:
        raise ConfigError(
            f"{where}: not valid YAML: brackets within brackets without end."
        ) from None
    except yaml.YAMLError as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"{where}: not valid YAML: {problem}.") from None
    if node is None and may_be_empty:
        return Entry(where, {})
    if node is None:
        raise ConfigError(f"{where}: the file is empty.")
    reading = _Reading(loader, where)
    return Entry(where, reading.plain(node, ()), (), reading.lines)


class _Reading:
    """Nodes turned into plain values, their lines kept."""

    def __init__(self, loader: Any, where: str) -> None:
        self.lines: dict[Keys, int] = {}
        self._loader = loader
        self._where = where
        self._within: list[int] = []
        self._flattened: set[int] = set()
        self._count = 0

    def plain(self, node: Any, keys: Keys) -> Any:
        self._count += 1
        if id(node) in self._within or self._count > MOST_VALUES:
            raise self._error(
                node, "an alias that stands for itself, or for too much. Write it out."
            )
        if node.tag not in _PLAIN_TAGS:
            raise self._error(
                node,
                f"plain values alone are taken; got one of type {_tag(node.tag)}. {_way(node)}",
            )
        self._within.append(id(node))
        try:
            if node.id == "mapping":
                return self._mapping(node, keys)
            if node.id == "sequence":
                for index, item in enumerate(node.value):
                    self.lines[*keys, index] = item.start_mark.line + 1
                return [self.plain(item, (*keys, i)) for i, item in enumerate(node.value)]
            return self._loader.construct_object(node)
        except ConfigError:
            raise
        except (ValueError, LookupError) as error:  # of a tag that the text does not fit
            raise self._error(node, f"{node.value} is no value: {error}.") from None
        finally:
            self._within.pop()

    def _mapping(self, node: Any, keys: Keys) -> dict[str, Any]:
        import yaml

        first: dict[str, int] = {}
        # what << took in stands in a mapping's node once it has been read, beside its own keys
        written_out = [] if id(node) in self._flattened else node.value
        for key, _ in written_out:
            name, line = key.value, key.start_mark.line + 1
            if key.tag.endswith(":merge"):
                continue
            self._refuse_other_key(key)
            if name in first:
                raise self._error(
                    key, f"the key {name} stands here and in line {first[name]}. Keep one of them."
                )
            first[name] = line
        self._flattened.add(id(node))
        try:
            self._loader.flatten_mapping(node)
        except yaml.MarkedYAMLError:
            raise self._error(
                node, "<< takes in a mapping, or a list of some. Write its keys out."
            ) from None
        found = {}
        for key, value in node.value:
            self._refuse_other_key(key)  # those that were taken in too
            self.lines[*keys, key.value] = key.start_mark.line + 1
            found[key.value] = self.plain(value, (*keys, key.value))
        return found

    def _refuse_other_key(self, key: Any) -> None:
        if key.id != "scalar" or not key.tag.endswith(":str"):
            text = key.value if key.id == "scalar" else "a list or mapping"
            raise self._error(key, f"a key is a word; got {text}. Put quotation marks around it.")

    def _error(self, node: Any, text: str) -> ConfigError:
        return ConfigError(f"{self._where}, line {node.start_mark.line + 1}: {text}")


def shown(value: Any) -> str:
    """A value as a YAML file has it, cut where it is long."""
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _problem(error: Any, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    said = f"line {mark.line + 1}: {error.problem or error.context}"
    if "\t" in line[: mark.column + 1]:
        return f"{said}. YAML is indented with spaces; replace the tab."
    if "expected a single document" in str(error.context):
        return f"line {mark.line + 1}: a second document begins here. Leave out the line `---`."
    return f"{said}, in {shown(line.strip())}. Close brackets and quotation marks, and align keys."


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _way(node: Any) -> str:
    if node.tag.endswith(":timestamp"):
        return f"Put quotation marks around {node.value}."
    return "Leave the tag out."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip("\n").splitlines())
