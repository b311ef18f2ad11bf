"""What the process of one run does: simulate a study, write its folder and its report."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from pathlib import Path

#: Told at most this often, s.
TELL_SECONDS = 0.1


def run_study(
    text: str, folder: str, catalog_folder: str | None, threads: int | None, pipe: Connection
) -> None:
    """Run the text of a study file into a folder; tell the pipe how far it is and how it ended.

    Parameters
    ----------
    text
        A study file that has been checked.
    folder
        Result folder to write.
    catalog_folder
        Folder of one's own cards, or None.
    threads
        Threads to use; all cores if None.
    pipe
        Gets ``("progress", (done, total, stage))``, then ``("done", failed patients)`` or
        ``("error", (message, remedy))``.
    """
    from immunostat.base.errors import ImmunostatError, InputError

    try:
        failed = _run(text, folder, catalog_folder, threads, pipe)
    except InputError as error:
        place = f"{error.place}: " if error.place else ""
        pipe.send(("error", (place + error.message, error.remedy or "")))
    except ImmunostatError as error:
        pipe.send(("error", (str(error), "")))
    except Exception as error:
        words = f"this went wrong in the program itself: {type(error).__name__}: {error}"
        pipe.send(("error", (words, "please report it with the study file")))
    else:
        pipe.send(("done", failed))
    finally:
        pipe.close()


def _run(
    text: str, folder: str, catalog_folder: str | None, threads: int | None, pipe: Connection
) -> str:
    from immunostat.catalog.lookup import Catalog
    from immunostat.catalog.reader import parse_yaml
    from immunostat.report import page
    from immunostat.study import result as results
    from immunostat.study.run import run
    from immunostat.study.study_reader import study_of

    told = 0.0

    def tell(done: int, total: int, stage: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > TELL_SECONDS or done == total:
            told = now
            pipe.send(("progress", (done, total, stage)))

    pipe.send(("progress", (0, 0, "joining the model and finding the patients")))
    catalog = Catalog.packaged(catalog_folder)
    study = study_of(parse_yaml(text, "study.yaml"), catalog)
    answer = run(study, threads=threads, progress=tell, catalog=catalog)
    pipe.send(("progress", (0, 0, "writing tables and report")))
    results.write(answer, Path(folder))
    page.write(results.open_result(folder), folder)
    failed = {cause: n for cause, n in dict(answer.run.get("failed", {})).items() if n}
    if not failed:
        return ""
    counts = ", ".join(f"{n:,} {cause}" for cause, n in failed.items())
    return f"{counts}. " + " ".join(answer.run.get("failures", ())[:5])
