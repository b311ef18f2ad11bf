"""What all screens share: the catalog, models and patients that are kept, figures, jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from immunostat.app.figure_store import FigureStore
from immunostat.app.index import Index
from immunostat.app.jobs import Jobs
from immunostat.app.limits import TRIAL, Limits
from immunostat.app.worker import run_study
from immunostat.catalog.lookup import Catalog
from immunostat.study.exploration import Explored, Explorer, Kept
from immunostat.study.study import Study

#: Answers that are kept, so that going back costs nothing.
MOST_ANSWERS = 6


class Workbench:
    """Everything behind the screens of one running app.

    Parameters
    ----------
    catalog
        Where cards are.
    results
        Folder of result folders.
    threads
        Threads of one simulation; all cores if None.
    jobs
        Where long runs are; made if None.
    """

    def __init__(
        self,
        catalog: Catalog,
        results: Path,
        threads: int | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        self.catalog, self.results, self.threads = catalog, results, threads
        own = catalog.folders[1] if len(catalog.folders) > 1 else None
        self.jobs = jobs or Jobs(results, own, threads, TRIAL, run_study)
        self.figures = FigureStore()
        self._explorer = Explorer(catalog)
        self._answers: Kept[Explored] = Kept(MOST_ANSWERS)
        #: Held by what computes, so that two pages do not slow each other down.
        self.alone = threading.Lock()
        #: Key of the small study that was asked for last.
        self.asked = ""

    @cached_property
    def index(self) -> Index:
        """The catalog as forms offer it."""
        return Index(self.catalog)

    def explored(
        self,
        key: str,
        study: Study,
        limits: Limits,
        progress: Callable[[int, int, str], None],
    ) -> Explored:
        """The answer of a small study; one is computed at a time, and others wait.

        Parameters
        ----------
        key
            Of what is asked, so that an answer is found again.

        Raises
        ------
        InputError
            The study is wrong or too large.
        """

        def make() -> Explored:
            progress(0, 0, "waiting for another page")
            with self.alone:
                if key in self._answers:  # made while this one waited
                    return self._answers.get(key, make)
                progress(0, 0, "joining the model")
                limits.check_plan(self._explorer.plan(study))
                return self._explorer.run(study, self.threads, progress)

        self.asked = key
        return self._answers.get(key, make)
