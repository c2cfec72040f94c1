"""The public `run`: a search as a function, for notebooks and programs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from automl_cv.places import CACHE_VARIABLE, STORAGE, cache_folder
from automl_cv.study import library, studyfile

if TYPE_CHECKING:
    import pandas as pd

    from automl_cv.search import events


def run(
    study: str | Path = "quickstart",
    data: str | Path | None = None,
    *,
    storage: str = STORAGE,
    stage: str | None = None,
    trials: int | None = None,
    preset: str | None = None,
    timeout: float | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    seed: int | None = None,
    new: bool = False,
    strict: bool = False,
    despite_findings: bool = False,
    cache_dir: str | Path | None = None,
    quiet: bool = False,
    listen: Callable[[events.Event], None] | None = None,
) -> pd.DataFrame:
    """Search a study, as `automl-cv search` does, and return its leaderboard.

    The same call again goes on where the search stopped; once all is done it returns at once. In
    a notebook a line with a bar shows how far it is.

    Example:
        >>> import automl_cv
        >>> board = automl_cv.run("photos", "photos/")
        >>> board.attrs["run"]
        'photos'

    Args:
        study: name of a study, or path of its file.
        data: images; None for the study's own.
        storage: address of the database.
        stage: this one alone; None for all.
        trials: a stage, in place of the study's own number; None for that.
        preset: in place of `trials`: "quick", "balanced", "thorough".
        timeout: seconds after which the search ends with what it has; None for never.
        workers: processes that train side by side; None for one, on a cluster for one on each of
            its workers.
        cluster: address of a Dask scheduler whose workers train, such as "dask://10.0.0.1:8786".
        seed: in place of the study's own.
        new: begin a new run; the earlier one stays.
        strict: refuse damaged images.
        despite_findings: search images too whose findings make results worthless.
        cache_dir: folder of features; None for the user's own.
        quiet: show no progress.
        listen: is told every event (`automl_cv.search.events`) as it happens.

    Returns:
        The leaderboard, best first; `attrs` hold the `run`, for `automl-cv report` and `fit`,
        its `storage`, and `shortfalls`: what is missing, by stage.

    Raises:
        UserError: the study, the images, the storage or an option is wrong; one line.
        AutomlError: trials fail one after the other, or another process searches the run.
    """
    from automl_cv.search.first_loaded import loading_early

    chosen = studyfile.overridden(
        library.load(str(study)),
        data=None if data is None else str(data),
        seed=seed,
        trials=trials,
        preset=preset,
    )
    cache = cache_folder(cache_dir or os.environ.get(CACHE_VARIABLE))
    with loading_early(chosen, stage, cache, cluster):
        # Optuna and pandas take a second.
        from automl_cv.results.leaderboard import leaderboard
        from automl_cv.screen.search_views import watching
        from automl_cv.search import session

        todo = session.SearchOptions(
            storage=storage,
            cache_dir=cache,
            stage=stage,
            timeout=timeout,
            workers=workers,
            cluster=cluster,
            new=new,
            strict=strict,
            despite_findings=despite_findings,
        )
        with watching(quiet=quiet, json_lines=False) as show:

            def tell(event: events.Event) -> None:
                show(event)
                if listen is not None:
                    listen(event)

            outcome = session.search(chosen, todo, tell)
    found = leaderboard(storage, outcome.run)
    found.attrs |= {
        "run": outcome.run,
        "storage": storage,
        "shortfalls": dict(outcome.shortfalls),
    }
    return found
