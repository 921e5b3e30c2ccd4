"""Which files the pages of the documentation site are, and how they are read.

MkDocs calls the functions `on_...`; mkdocs.yml names `Settings`, by which code is read.

The site has the layout of the checkout: README.md, docs/, experiments/*/README.md, results/. A
relative link then means on the site what it means in the checkout, and MkDocs checks it. A page of
the API is written for every package that there is.
"""

from __future__ import annotations

import ast
import logging
import posixpath
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import griffe
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "experiments/*/README.md",
    "results/ledger.md",
)
PICTURES = (".png", ".svg")
LINK = re.compile(
    r"(?P<mark>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()#\s]+)(?P<anchor>#[^()\s]*)?\)"
)
ITEM = re.compile(r"[-*] |\d+\. ")
TEXT = re.compile(rf"(?!{ITEM.pattern})\S")
DOCTEST = "doctest"
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link(?![^>]*rel="canonical"))\b[^>]*?(?:src|href)="?https?:"""
)

log = logging.getLogger("mkdocs.hooks.normlab")


class AsElsewhere(Extension):
    """Markdown as GitHub reads it: a list may follow a line of text. And doctests are code."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        md.preprocessors.register(_Lines(md), "as_elsewhere", 100)  # before code is taken out


class _Lines(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        written: list[str] = []
        fence = ""
        for before, line in pairwise(["", *lines, ""]):
            marker = re.match(r"```+|~~~+", line.lstrip())
            if fence == DOCTEST:
                if not line.strip():
                    written.append("```")
                    fence = ""
            elif marker:
                fence = "" if marker[0] == fence else fence or marker[0]
            elif not fence and line.startswith(">>> "):
                written.append("```pycon")
                fence = DOCTEST
            elif not fence and ITEM.match(line) and TEXT.match(before):
                written.append("")
            written.append(line)
        return written[:-1]


class Settings(griffe.Extension):
    """A setting's default and meaning stand in the call that declares it (`config/settings.py`)."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **_: Any) -> None:
        call, shown = getattr(node, "value", None), attr.value
        if not isinstance(call, ast.Call) or not isinstance(shown, griffe.ExprCall):
            return
        if ast.unparse(call.func) not in ("setting", "neutral"):
            return
        given = dict(zip(("default", "doc"), call.args, strict=False))
        given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        attr.value = shown.arguments[0] if "default" in given else None
        if "doc" in given and attr.docstring is None:
            text = ast.literal_eval(given["doc"])
            attr.docstring = griffe.Docstring(text, lineno=call.lineno, parent=attr)


def on_config(config: MkDocsConfig) -> None:
    """Replace `experiments/` and `api/` in the navigation by the pages there."""
    config.markdown_extensions.append(AsElsewhere())
    folders = {
        "experiments/": [
            {path.parent.name: _uri(path)} for path in _found("experiments/*/README.md")
        ],
        "api/": [{title: uri} for uri, title, _ in _api_pages()],
    }
    assert config.nav is not None
    for section in config.nav:
        ((title, entries),) = section.items()
        if isinstance(entries, list):
            section[title] = [page for entry in entries for page in folders.get(entry, [entry])]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages where they are in the checkout, with the pictures they show."""
    for file in list(files):
        if file.src_uri.endswith(".md") or file.src_uri == "site.css":
            files.remove(file)
    paths = [ROOT / "docs" / "site.css", *(path for pattern in PAGES for path in _found(pattern))]
    for path in paths:
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))
    pictures = {target for page in paths for target in _targets(page) if target.suffix in PICTURES}
    for path in sorted(pictures):
        files.append(File.generated(config, _uri(path), abs_src_path=str(path)))
    for uri, _, content in _api_pages():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Unlink what the checkout has and the site has not, such as a source file."""

    def unlinked(link: re.Match[str]) -> str:
        uri = _resolved(page.file.src_uri, link["target"])
        is_elsewhere = files.get_file_from_path(uri) is None and (ROOT / uri).exists()
        return link["text"] if is_elsewhere and not link["mark"] else link.group()

    return LINK.sub(unlinked, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Warn, which fails a strict build, of whatever a browser would fetch from elsewhere."""
    for found in FETCHED.findall(output):
        log.warning("%s would be fetched from another server: %s", page.file.src_uri, found)
    if 'class="mermaid"' in output:
        log.warning("%s has a mermaid diagram, whose script is fetched", page.file.src_uri)


def _found(pattern: str) -> list[Path]:
    return sorted(ROOT.glob(pattern))


def _uri(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _resolved(page: str, target: str) -> str:
    """A page's relative link, from the root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _targets(page: Path) -> Iterator[Path]:
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = ROOT / _resolved(_uri(page), link["target"])
        if target.is_file():
            yield target


def _api_pages() -> list[tuple[str, str, str]]:
    """Address, title and content of a page for each package and module, and of their index."""
    package = ROOT / "src" / "normlab"
    rows, pages = [], []
    for path in sorted(package.iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        name = f"normlab.{path.stem}"
        if path.name.startswith("_") or source.suffix != ".py" or not source.exists():
            continue
        tree = ast.parse(source.read_text(encoding="utf-8"))
        first = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
        rows.append(f"| [`{name}`]({path.stem}.md) | {first} |")
        pages.append((f"api/{path.stem}.md", name, _api_page(name, path, tree)))
    door = "::: normlab\n    options:\n      show_root_heading: false"
    index = "\n".join(["# API", "", door, "", "| package | |", "| --- | --- |", *rows, ""])
    return [("api/index.md", "All packages", index), *pages]


def _api_page(name: str, path: Path, tree: ast.Module) -> str:
    """What a package exports, then its modules of which it exports nothing."""
    parts = [f"# {name}", f"::: {name}\n    options:\n      show_root_heading: false"]
    if path.is_dir():
        exported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for module in sorted(path.rglob("*.py")):
            inner = ".".join([name, *module.relative_to(path).with_suffix("").parts])
            if "._" not in inner and inner not in exported:
                parts.append(f"::: {inner}")
    return "\n\n".join(parts) + "\n"
