"""The report and the page of a sweep: what they say, that all is escaped and nothing requested."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from normlab.analysis.ledger import judge_experiment, write_verdicts
from normlab.figures.comparison import compare
from normlab.figures.facets import plot
from normlab.figures.manifest import save
from normlab.report import Finding, Study, write_report, write_sweep_page

EVIL = "<script>alert(1)</script>"


def table_of(cell_prefix: str = "") -> pd.DataFrame:
    rows = []
    for norm, level in (("none", 0.5), ("batch", 0.9)):
        for seed in range(3):
            outcome = "diverged" if (norm, seed) == ("none", 2) else "trained"
            base = {"run": f"{cell_prefix}{norm}-s{seed}", "cell": norm, "seed": seed, "norm": norm}
            base |= {"layer": None, "outcome": outcome, "state": "finished", "chance": 0.1}
            for step in (0, 10):
                value = 0.1 if step == 0 else level + seed / 100
                rows.append({**base, "step": step, "metric": "test/accuracy", "value": value})
                rows.append({**base, "step": step, "metric": "train/loss", "value": 2.3 - value})
    return pd.DataFrame(rows)


def runs_of(table: pd.DataFrame) -> pd.DataFrame:
    runs = table.drop_duplicates("run")[["run", "cell", "seed", "norm", "outcome", "state"]]
    runs = runs.assign(seconds=1.5, started=range(len(runs)))
    runs["summary/test/accuracy"] = [0.5] * 5 + [None]
    return runs


class Page(HTMLParser):
    """Tags seen, the attributes that could request something, and whether tags close in order."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.targets: list[str | None] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def results_at(tmp_path: Path, scale: str) -> Path:
    table = table_of()
    claims = tmp_path / "claims.yaml"
    claim = {
        "id": "c",
        "statement": f"Batch norm reaches more {EVIL}",
        "source": "A paper & its figure 1",
        "metric": "test/accuracy",
        "treatment": {"norm": "batch"},
        "baseline": {"norm": "none"},
        "comparison": "greater",
        "family": "replication",
        "smallest_effect": 0.02,
    }
    claims.write_text(json.dumps({"claims": [claim]}))
    folder = tmp_path / "results" / "demo" / scale
    save(lambda own: plot(own, hue="norm"), folder, table, missing=["5 of 6 runs"])
    write_verdicts(folder, judge_experiment(claims, table, experiment="demo", scale=scale))
    return tmp_path / "results"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return results_at(tmp_path, "small")


def test_report_shows_claims_figures_sweeps_and_runs(results: Path) -> None:
    sweep = results / "sweeps" / "2024-a b"
    sweep.mkdir(parents=True)
    (sweep / "index.html").write_text("x")
    path = write_report(results, runs_of(table_of(EVIL)))
    assert path == results / "report" / "index.html"
    text = path.read_text()
    page = Page(text)
    assert page.tags.count("img") == 2  # the figure, and the empty place where it is enlarged
    assert page.tags.count("script") == 3  # two of data, one of ours
    assert "Batch norm reaches more &lt;script&gt;" in text
    assert f"<code>{EVIL}" not in text
    assert (
        "1 claim of a paper or document: 0 supported, 0 right direction,"
        " 0 contradicted, 1 undecided." in text
    )
    assert "1 run of the baseline diverged" in text
    assert "Drawn from 6 runs (1 diverged, 5 trained)." in text
    assert "5 of 6 runs." in text
    assert "6 runs; 6 finished; 1 diverged, 5 trained." in text
    assert 'href="../sweeps/2024-a%20b/index.html"' in text
    assert "prefers-color-scheme: dark" in text
    for target in page.targets:
        assert re.match(r"#|\.\./sweeps/|data:", target or ""), target
    assert len(text) < 1_000_000


def test_an_experiment_says_what_was_asked_and_found(results: Path) -> None:
    manifest = json.loads((results / "demo" / "small" / "manifest.json").read_text())
    written = Finding(text=f"It does {EVIL}", table_sha256=manifest["table_sha256"][:12])
    study = Study(
        title=f"A title {EVIL}",
        paper="Someone 2015",
        figure="figure 1",
        question="Does it?",
        findings={"small": written, "paper": Finding(text="Never seen", table_sha256="0" * 12)},
    )
    text = write_report(results, runs_of(table_of()), studies={"demo": study}).read_text()
    Page(text)
    for said in ("A title &lt;script&gt;", "Someone 2015, figure 1", "Does it?", "It does &lt;"):
        assert said in text
    assert "Never seen" not in text
    assert "Written about other runs" not in text
    older = Study(title="A", findings={"small": Finding(text="It does", table_sha256="0" * 12)})
    text = write_report(results, runs_of(table_of()), studies={"demo": older}).read_text()
    assert "It does" in text
    assert "Written about other runs than those shown here." in text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": []}'])
def test_a_damaged_manifest_costs_its_notes_alone(
    results: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = results / "demo" / "small" / "manifest.json"
    manifest.write_text(text)
    page = write_report(results, runs_of(table_of())).read_text()
    assert 'id="demo-small"' in page
    assert "Drawn from" not in page
    assert f"left out: {manifest} is damaged" in capsys.readouterr().err


def test_claims_of_a_first_look_are_counted_and_shown_apart(tmp_path: Path) -> None:
    results_at(tmp_path, "small")
    results = results_at(tmp_path, "smoke")
    text = write_report(results, runs_of(table_of())).read_text()
    Page(text)
    assert (
        "1 claim of a paper or document: 0 supported, 0 right direction,"
        " 0 contradicted, 1 undecided."
        " 1 more at scale smoke" in text
    )
    ledger = text[text.index('id="ledger"') : text.index('id="sweeps"')]
    assert ledger.count("<tr data-verdict") == 1
    assert text.index('id="demo-small"') < text.index('id="first-looks"')
    assert text.index('id="first-looks"') < text.index('id="demo-smoke"')


def test_the_contents_link_every_scale_and_count_its_verdicts(tmp_path: Path) -> None:
    results_at(tmp_path, "small")
    text = write_report(results_at(tmp_path, "smoke"), runs_of(table_of())).read_text()
    contents = text[text.index('class="contents"') : text.index("</ol>")]
    assert contents.count("<li>") == 1
    assert 'href="#demo-small">small' in contents
    assert 'href="#demo-smoke">smoke' in contents
    assert contents.count('title="1 undecided"') == 2


def test_runs_are_listed_with_their_model(results: Path) -> None:
    runs = runs_of(table_of()).assign(model="vgg11")
    text = write_report(results, runs).read_text()
    assert "<td>vgg11</td><td>batch</td>" in text


def test_report_of_an_empty_results_folder(tmp_path: Path) -> None:
    text = write_report(tmp_path).read_text()
    Page(text)
    assert "No claim has been judged yet" in text
    assert "There are no runs." in text


def test_report_lists_the_newest_500_runs(results: Path) -> None:
    one = runs_of(table_of()).head(1)
    many = pd.concat([one.assign(run=f"run-{i:04}", started=i) for i in range(700)])
    text = write_report(results, many).read_text()
    assert "700 runs; 700 finished; 700 trained. The newest 500 are listed." in text
    assert "run-0699" in text
    assert "run-0199" not in text
    assert len(text) < 1_000_000


def test_sweep_page_shows_command_final_values_and_runs(tmp_path: Path) -> None:
    folder = tmp_path / "2024-x"
    table = table_of()
    save(lambda own: compare(own, ["norm", "seed"]), folder, table, name="comparison")
    failed = pd.DataFrame([{"run": f"bad{EVIL}", "state": "failed"}])
    runs = pd.concat([runs_of(table), failed], ignore_index=True)
    command = f"train.py -m norm=none,batch 'x={EVIL}'"
    path = write_sweep_page(folder, table, factors=["norm", "seed"], command=command, runs=runs)
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert "train.py -m norm=none,batch &#39;x=&lt;script&gt;" in text
    assert "0.91 ± 0.025" in text
    # two trained at 0.5 and 0.51, the diverged one at chance
    assert "0.37 ± 0.58" in text
    assert "1 diverged</td>" in text
    assert "7 runs; 1 failed, 6 finished" in text
    assert "--hue norm" in text


def test_sweep_page_without_a_single_row(tmp_path: Path) -> None:
    path = write_sweep_page(tmp_path, pd.DataFrame(), factors=["norm"], command="train.py -m")
    text = path.read_text()
    Page(text)
    assert "No run of this sweep has recorded a metric yet." in text


def test_sweep_page_of_runs_that_are_all_unfinished(tmp_path: Path) -> None:
    table = table_of().assign(state="running")
    save(lambda own: compare(own, ["norm"]), tmp_path, table, name="comparison")
    text = write_sweep_page(tmp_path, table, factors=["norm"], command="x").read_text()
    assert "6 runs; 6 running" in text
