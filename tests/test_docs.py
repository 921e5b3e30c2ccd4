"""The documentation site's own rules; `make docs` builds it and checks every link."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mkdocs", reason="make docs installs it")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def html(hooks: ModuleType, text: str) -> str:
    from markdown import Markdown

    return str(Markdown(extensions=[hooks.AsElsewhere(), "pymdownx.superfences"]).convert(text))


def test_a_list_may_follow_a_line_of_text(hooks: ModuleType) -> None:
    assert html(hooks, "Text:\n- one\n  more of it\n- two").count("<li>") == 2
    assert html(hooks, "Text:\n1. one\n2. two").count("<li>") == 2
    assert "<li>" not in html(hooks, "```\nText:\n- one\n```")


def test_a_doctest_is_code(hooks: ModuleType) -> None:
    written = html(hooks, "Doubles.\n\n>>> double([1])[0]\n2\n\n- item")
    assert "<code" in written
    assert "<blockquote>" not in written
    assert written.endswith("</ul>")


def test_a_setting_is_documented_by_its_declaration(hooks: ModuleType) -> None:
    import griffe

    code = """
class Config:
    eps: float = setting(1e-5, "Under the root.", above=0)
    lr: float = setting(doc="Of the steps.")
    rate: float = other(1, "text")
"""
    extensions = griffe.Extensions(hooks.Settings())
    module = griffe.visit("it", filepath=Path("it.py"), code=code, extensions=extensions)
    eps, lr, rate = (module[f"Config.{name}"] for name in ("eps", "lr", "rate"))
    assert (str(eps.value), eps.docstring.value) == ("1e-05", "Under the root.")
    assert (lr.value, lr.docstring.value) == (None, "Of the steps.")
    assert (str(rate.value), rate.docstring) == ("other(1, 'text')", None)


def test_every_package_has_a_page(hooks: ModuleType) -> None:
    pages = {uri: content for uri, _, content in hooks._api_pages()}
    packages = {path.parent.name for path in (ROOT / "src" / "normlab").glob("*/__init__.py")}
    assert {f"api/{package}.md" for package in packages} <= set(pages)
    assert "::: normlab.models.vgg\n" in pages["api/models.md"]
    assert "::: normlab.measures.ics" not in pages["api/measures.md"]  # it is exported


def test_a_link_to_what_the_site_has_not_is_text(hooks: ModuleType) -> None:
    def written(text: str) -> Any:
        page = SimpleNamespace(file=SimpleNamespace(src_uri="docs/adding.md"))
        files = SimpleNamespace(get_file_from_path={"docs/zoo.md": "a page"}.get)
        return hooks.on_page_markdown(text, page, None, files)

    assert written("[zoo](zoo.md#norm)") == "[zoo](zoo.md#norm)"
    assert written("see [the rules](../.ci/run).") == "see the rules."
    assert written("[gone](gone.md)") == "[gone](gone.md)"  # for MkDocs to refuse


@pytest.mark.parametrize(
    ("tag", "is_fetched"),
    [
        ('<script src="https://x.org/a.js">', True),
        ('<link rel="stylesheet" href="https://x.org/a.css">', True),
        ('<img alt="" src="http://x.org/a.png">', True),
        ('<link rel="canonical" href="https://x.org/">', False),
        ('<a href="https://x.org/">', False),
        ('<script src="../assets/a.js">', False),
    ],
)
def test_what_a_browser_would_fetch_is_seen(hooks: ModuleType, tag: str, is_fetched: bool) -> None:
    assert bool(hooks.FETCHED.findall(tag)) is is_fetched
