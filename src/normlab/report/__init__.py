"""HTML pages of results: self-contained files that open from disk, without account or server."""

from normlab.report.experiments import Finding, Study
from normlab.report.pages import write_report, write_sweep_page

__all__ = ["Finding", "Study", "write_report", "write_sweep_page"]
