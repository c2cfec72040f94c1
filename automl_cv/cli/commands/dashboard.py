"""`automl-cv dashboard`: optuna-dashboard on a database of trials."""

from __future__ import annotations

import errno
import importlib.util
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from automl_cv.cli import options
from automl_cv.places import STORAGE

LOOPBACK = "127.0.0.1"


def dashboard(
    storage: Annotated[
        str,
        typer.Argument(
            metavar="STORAGE",
            envvar="AUTOML_CV_STORAGE",
            help="Database of the trials: a file, or an SQLAlchemy address.",
        ),
    ] = STORAGE,
    port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Port to listen at.")
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen at. Any other than the default lets whoever reaches it read "
            "and change the database.",
        ),
    ] = LOOPBACK,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            "--artifacts",
            metavar="DIR",
            help="Also show confusion and calibration of each run's first trial. The pictures lie "
            "in this folder, and the database notes them.",
        ),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            metavar="DIR",
            help="With --artifacts: also the pictures that `automl-cv maps --out DIR` wrote.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Open optuna-dashboard on a database: curves, states, durations, plots, live.

    It listens on this machine alone, and runs until Ctrl-C. Needs the extra `dashboard`.

    Example: automl-cv dashboard
    """
    from automl_cv.errors import UserError, installing
    from automl_cv.screen.console import caution, say
    from automl_cv.store.database import open_storage, place_of

    if importlib.util.find_spec("optuna_dashboard") is None:
        raise UserError(
            f"dashboard: needs optuna-dashboard, which is not installed; {installing('dashboard')}"
        )
    opened = open_storage(storage if "://" in storage else f"sqlite:///{storage}", create=False)
    if maps is not None and artifacts is None:
        raise UserError("--maps: the pictures are shown from a folder; name one by --artifacts DIR")
    store = None
    if artifacts is not None:
        from optuna.artifacts import FileSystemArtifactStore

        from automl_cv.report.artifacts import write_artifacts
        from automl_cv.words import counted

        number = write_artifacts(opened, artifacts, maps)
        say(f"{counted(number, 'picture')} in {artifacts}, shown with the stage that each is of")
        store = FileSystemArtifactStore(artifacts)
    from optuna_dashboard import run_server

    if host not in (LOOPBACK, "localhost", "::1"):
        caution(f"--host {host}: whoever reaches this address can read and change the database")
    say(f"{place_of(opened)} is shown at http://{host}:{port}/; Ctrl-C ends it")
    served: Future[None] = Future()

    def serve() -> None:
        try:
            run_server(opened, host=host, port=port, artifact_store=store)
            served.set_result(None)
        except BaseException as error:
            served.set_exception(error)

    # In a thread of its own: the server swallows a Ctrl-C that comes while it answers a request.
    Thread(target=serve, daemon=True).start()
    try:
        served.result()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UserError(f"--port {port}: is taken by another program; name another port") from None
