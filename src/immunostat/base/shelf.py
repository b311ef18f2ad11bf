"""A cache on disk: what is costly to make and can be made again.

A file that is missing or damaged, and a folder that cannot be written, cost time and not results.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

#: Set to a folder to keep the cache there, or to "off" to keep none.
VARIABLE = "IMMUNOSTAT_KERNEL_CACHE"


def folder() -> Path | None:
    """Folder of the cache, or None where none can be kept."""
    chosen = os.environ.get(VARIABLE)
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = str(Path("~/Library/Caches").expanduser())
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "immunostat" / "kernels" if base else None


def key_of(*parts: str) -> str:
    """Name of what follows from these texts and from nothing else."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def read(key: str, kind: str) -> bytes | None:
    """What is kept under a key; None if there is none or it is damaged.

    Parameters
    ----------
    kind
        Ending of the file's name.
    """
    place = folder()
    if place is None:
        return None
    try:
        head, _, body = (place / f"{key}.{kind}").read_bytes().partition(b"\n")
    except OSError:
        return None
    return body if head == _digest(body) else None


def write(key: str, kind: str, body: bytes, most: int) -> None:
    """Keep bytes; written aside and renamed, so that readers see all or nothing.

    Parameters
    ----------
    kind
        Ending of the file's name.
    most
        Files of this kind to keep; the oldest are removed.
    """
    place = folder()
    if place is None:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, delete=False) as file:
            file.write(_digest(body) + b"\n" + body)
        os.replace(file.name, place / f"{key}.{kind}")
        by_age = sorted(place.glob(f"*.{kind}"), key=lambda own: own.stat().st_mtime)
        for old in by_age[:-most]:
            old.unlink(missing_ok=True)
    except OSError:
        return


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
