"""Figures that are on some screen: drawn once, put into the page, and kept for download."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from markupsafe import Markup

from immunostat.report import figures
from immunostat.report.page import inline
from immunostat.report.plate import Plate

#: Figures kept for download.
MOST = 600


@dataclass(frozen=True)
class Drawn:
    """A figure in a page.

    Parameters
    ----------
    key
        Its name in the store, part of the address for download.
    name
        Name of a file, without ending.
    html
        SVG for the page, described in words.
    """

    key: str
    name: str
    caption: str
    html: Markup


class FigureStore:
    """SVG of figures by key; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def draw(self, plate: Plate) -> Drawn:
        """Draw a figure for a page and keep it."""
        return self.keep(figures.svg(plate.figure), plate.name, plate.caption)

    def keep(self, svg: str, name: str, caption: str) -> Drawn:
        """Keep a figure that is drawn already."""
        key = hashlib.sha256(svg.encode()).hexdigest()[:20]
        with self._lock:
            self._kept[key] = (name, svg)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return Drawn(key, name, caption, inline(svg, f"f{key[:8]}", caption))

    def get(self, key: str) -> tuple[str, str] | None:
        """Name and SVG of a figure; None if it is kept no longer."""
        with self._lock:
            return self._kept.get(key)
