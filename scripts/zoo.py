"""Write docs/zoo.md: every choice of every group and every setting, read from the code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    from normlab.cli.zoo import markdown

    (ROOT / "docs" / "zoo.md").write_text(markdown(ROOT / "configs"))


if __name__ == "__main__":
    main()
