"""The report in a real browser: no error, no request, nothing of a run's name comes alive; the
tables sort and filter, curves are drawn, figures open."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from support.recorded_runs import finished_run

from normlab.figures.facets import plot
from normlab.figures.manifest import save
from normlab.report import write_report

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome")
                 if (found := shutil.which(name))), None)  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: chromium)")

EVIL = "<script>document.title='owned'"
DRIVE = """
const told = {};
const rows = (id) => [...document.querySelectorAll(`#${id} tbody tr`)].filter((row) => !row.hidden);
const names = () => rows("run-table").map((row) => row.dataset.run);
const head = (text) =>
  [...document.querySelectorAll("#run-table th button")].find((one) => one.textContent === text);
told.before = names();
head("seconds").click();
head("test accuracy [fraction]").click();
told.ascending = names();
head("test accuracy [fraction]").click();
told.descending = names();
const filters = document.querySelector("form[data-table=run-table]");
const set = (what, value) => {
  filters.querySelector(what).value = value;
  filters.dispatchEvent(new Event("input"));
};
set("select[name=norm]", "layer");
told.layer = names();
set("select[name=norm]", "");
set("input", "run-2");
told.words = names();
told.count = filters.querySelector("output").textContent;
set("input", "");
for (const row of rows("run-table")) {
  const box = row.querySelector("input");
  box.checked = true;
  box.dispatchEvent(new Event("change", { bubbles: true }));
}
told.metrics = [...document.querySelectorAll("#metric option")].map((one) => one.value);
told.curves = document.querySelectorAll("#chart path.curve").length;
told.legend = [...document.querySelectorAll("#legend code")].map((one) => one.textContent);
document.querySelector("figure button").click();
told.open = document.querySelector("#zoom").open;
document.querySelector("#theme").click();
told.theme = document.documentElement.dataset.theme;
told.title = document.title;
document.body.replaceChildren(Object.assign(document.createElement("pre"), {
  textContent: "TOLD" + JSON.stringify(told) + "END",
}));
"""


def browse(url: str, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The page's DOM once its script has run, and what its console said."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={profile}", "--enable-logging=stderr",
        "--virtual-time-budget=2000", *options, "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("report") / "results"
    entries = []
    for index, norm in enumerate(("none", "batch", "layer", EVIL)):
        name = f"run-{index}" if norm != EVIL else EVIL
        rows = [{"step": s, "train/loss": 1 / (1 + s), "test/accuracy": 0.1} for s in range(30)]
        finished_run(results, name, rows)
        entries.append(
            {"run": name, "cell": norm, "seed": 0, "norm": norm, "state": "finished",
             "outcome": "trained", "seconds": index, "optimizer.lr": 0.1,
             "summary/test/accuracy": (0.9, 0.1, None, 0.5)[index]}
        )  # fmt: skip
    table = pd.DataFrame(
        [
            {"run": f"r{seed}", "cell": "c", "seed": seed, "norm": "batch", "step": step,
             "metric": "test/accuracy", "layer": None, "value": 0.1 * seed, "outcome": "trained"}
            for seed in range(2) for step in (0, 10)
        ]
    )  # fmt: skip
    save(lambda own: plot(own, hue="norm"), results / "demo" / "smoke", table)
    return write_report(results, pd.DataFrame(entries))


def test_the_page_loads_without_an_error_and_runs_its_own_script_only(
    page: Path, tmp_path: Path
) -> None:
    dom, console = browse(page.as_uri(), tmp_path)
    assert console == []
    assert "<output>4</output> runs" in dom  # counted by the script
    assert "<title>normlab report</title>" in dom
    evil = page.with_name("evil.html")
    evil.write_text(page.read_text().replace("</body>", f"{EVIL}</script></body>"))
    dom, console = browse(evil.as_uri(), tmp_path)
    assert "<title>normlab report</title>" in dom
    assert len(console) == 1
    assert "Content Security Policy" in console[0]


def test_tables_sort_and_filter_and_curves_are_drawn(page: Path, tmp_path: Path) -> None:
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    driven = page.with_name("driven.html")
    driven.write_text(text.replace("</body>", f"<script>{{{DRIVE}}}</script></body>"))
    dom, console = browse(driven.as_uri(), tmp_path)
    assert console == []
    found = re.search(r"TOLD(.*)END", dom)
    assert found, dom[-2000:]
    told = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert told["before"] == ["run-0", "run-1", "run-2", EVIL]
    assert told["ascending"] == ["run-1", EVIL, "run-0", "run-2"]  # what is missing comes last
    assert told["descending"] == ["run-0", EVIL, "run-1", "run-2"]
    assert told["layer"] == ["run-2"]
    assert (told["words"], told["count"]) == (["run-2"], "1 of 4")
    assert told["metrics"] == ["test/accuracy", "train/loss"]
    assert told["curves"] == 4
    assert sorted(told["legend"]) == sorted([EVIL, "run-0", "run-1", "run-2"])
    assert (told["open"], told["theme"], told["title"]) == (True, "dark", "normlab report")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_is_no_wider_than_its_window(page: Path, tmp_path: Path, width: int) -> None:
    probe = page.with_name(f"probe-{width}.html")
    measured = "document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    probe.write_text(text.replace("</body>", f"<script>{measured}</script></body>"))
    frame = page.with_name(f"frame-{width}.html")  # a window is never as narrow as a phone
    frame.write_text(
        f'<iframe src="{probe.name}" width="{width}" height="800" onload="document.title ='
        ' this.contentDocument.title"></iframe>'
    )
    dom, _ = browse(frame.as_uri(), tmp_path, "--allow-file-access-from-files")
    found = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert found, dom[-1000:]
    assert int(found[2]) == width
    assert int(found[1]) <= width
