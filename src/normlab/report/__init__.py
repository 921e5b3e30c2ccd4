"""HTML pages of results: self-contained files that open from disk, without account or server."""

from normlab.report.pages import write_report, write_sweep_page

__all__ = ["write_report", "write_sweep_page"]
