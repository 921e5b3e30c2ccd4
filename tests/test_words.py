from __future__ import annotations

import pytest

from normlab.words import (
    did_you_mean,
    nearest,
    nearest_few,
    or_did_you_mean,
    refuse_no_file_name,
)


@pytest.mark.parametrize(
    ("word", "valid", "match"),
    [
        ("bacth", ["none", "batch"], "batch"),
        ("BATCH", ["none", "batch"], "batch"),
        ("null", ["batch", "none"], "none"),
        ("zzz", ["batch", "none"], None),
        ("a", [], None),
    ],
)
def test_the_nearest_word(word: str, valid: list[str], match: str | None) -> None:
    assert nearest(word, valid) == match


def test_a_question_only_where_a_word_is_near() -> None:
    assert did_you_mean("bacth", ["none", "batch"]) == " Did you mean 'batch'?"
    assert or_did_you_mean("bacth", ["none", "batch"]) == "; did you mean 'batch'?"
    assert did_you_mean("zzz", ["none", "batch"]) == or_did_you_mean("zzz", ["none"]) == ""


def test_the_nearest_few_leave_out_what_is_hardly_alike() -> None:
    valid = ["norm", "norm.eps", "norm.momentum", "seed"]
    assert nearest_few("norm.epsilon", valid, at_most=2) == ["norm.eps", "norm.momentum"]
    assert nearest_few("zzz", valid) == []


@pytest.mark.parametrize("name", ["a", "ics+weights", "my net 2", "größe", "v1.2", "a" * 200])
def test_names_of_files(name: str) -> None:
    refuse_no_file_name("--name", name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "/a", ".a", " a", "a ", "a\0b", "a\x1b[1m", "a" * 201]
)
def test_names_that_are_no_file_s(name: str) -> None:
    with pytest.raises(ValueError, match=r"--name must be the name of a file: .*; got"):
        refuse_no_file_name("--name", name)
