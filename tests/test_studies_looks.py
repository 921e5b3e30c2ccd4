"""Planned looks and the registry, from runs of an experiment to its verdicts."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from support.studies import with_arms, write_files

from normlab.analysis.looks import spending
from normlab.analysis.registry import read_registry
from normlab.config.compose import Composer
from normlab.launch.dispatch import launch
from normlab.studies.drawing import draw_and_judge

ROOT = Path(__file__).resolve().parent.parent
FIGURE = """
from normlab.figures import Panel, draw_panels


def draw(table):
    return draw_panels(table, [[Panel(y="test/accuracy")]])
"""


def test_looks_are_taken_one_after_the_other_and_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = with_arms("      - product: {norm: [none, batch]}\n").replace("smoke:", "small:")
    planned = content.replace("seeds: [0, 1]", "seeds: 4\n    looks: [2, 4]")
    experiment = write_files(tmp_path / "studies" / "tiny_looks", planned)
    (experiment.folder / "figure.py").write_text(FIGURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    results = tmp_path / "results"
    folder = results / "tiny_looks" / "small"
    words = [f"results_dir={results}", "tracker=none"]
    for seeds in ((0, 1), (0, 1, 2, 3)):
        runs = experiment.plan(Composer(ROOT / "configs"), "small", extra_words=words, seeds=seeds)
        assert launch(runs, Console(quiet=True)).exit_code == 0
        for _ in range(2):  # drawn once more, it is no other look
            assert draw_and_judge(experiment, "small", runs, results) is not None
        (claim,) = json.loads((folder / "verdicts.json").read_text())["claims"]
        assert (claim["looks"], claim["look"], claim["n"]) == ([2, 4], len(seeds), len(seeds))
        assert claim["edited_after_run"] is False
    looks = read_registry(folder)
    assert [look.seeds for look in looks] == [(0, 1), (0, 1, 2, 3)]
    assert {look.looks for look in looks} == {(2, 4)}
    assert looks[0].as_trained is True
    assert looks[0].table_sha256 != looks[1].table_sha256
    assert claim["level"] > 0.04 > spending(0.5)
