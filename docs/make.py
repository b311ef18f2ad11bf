"""Make the pages and pictures of the documentation that follow from the program itself.

    python docs/make.py                      everything (a minute)
    python docs/make.py --only reference     only what needs no simulation
    python docs/make.py --only prevention    only what prevention saves
    python docs/make.py --only harm          only published side effects beside predicted ones
    python docs/make.py --only published     only the page of published models (seconds)
    python docs/make.py --patients 500       fewer patients, for a look

Pages about results are made from a real run of studies/ra-biologics.yaml, with more arms where a
published trial has other doses; no simulated number is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

CHOICES = ("reference", "science", "validation", "published", "prevention", "harm")


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=CHOICES)
    parser.add_argument("--patients", type=int, default=2000, help="patients in each arm")
    options = parser.parse_args()
    if options.only in (None, "published"):
        from making import published

        for name, text in published.pages().items():
            write(HERE / name, text)
    if options.only in (None, "reference"):
        from making import reference

        for name, make in reference.PAGES.items():
            write(HERE / name, make())
    if options.only in (None, "science"):
        from making import science

        for name, text in science.pages(options.patients).items():
            write(HERE / name, text)
    if options.only in (None, "prevention"):
        from making import prevention

        for name, text in prevention.pages(options.patients).items():
            write(HERE / name, text)
    if options.only in (None, "harm"):
        from making import harm

        for name, text in harm.pages(options.patients).items():
            write(HERE / name, text)
    if options.only in (None, "validation"):
        from making import validation

        for name, text in validation.pages(options.patients).items():
            write(HERE / name, text)


def write(path: Path, text: str) -> None:
    """Write a file with line feeds on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"docs/{path.relative_to(HERE).as_posix()}")


if __name__ == "__main__":
    main()
