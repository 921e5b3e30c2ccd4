"""Values, keys and merges that no YAML file can mean are told with file and line."""

from pathlib import Path

import pytest

from normlab.config.errors import ConfigError
from normlab.config.yaml_files import read_yaml


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: !!bool x\n", "line 1: x is no value"),
        ("a: 1\n<<: 3\n", "line 1: << takes in a mapping"),
        ("<<: {[a]: 2}\n", "line 1: a key is a word; got a list or mapping"),
        ("<<: {1: 2}\n", "line 1: a key is a word; got 1"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^some.yaml, {complaint}"):
        read_yaml(path, "some.yaml")


def test_what_overrides_a_merged_key_may_be_repeated_by_an_alias(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: [*b, *b]\n")
    assert read_yaml(path, "file.yaml")["c"].value == [{"x": 3, "y": 2}] * 2
