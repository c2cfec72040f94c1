"""The command `automl-cv`: finds the commands, turns errors into lines and exit codes.

A command is a module of `automl_cv/cli/commands`. `NAME.py` holds either a
function called NAME or, where it has commands of its own, a Typer called `app`.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import FrameType
from typing import Annotated, Any

import typer

from automl_cv import __version__
from automl_cv.cli import commands
from automl_cv.cli.plain_help import PlainCommand, PlainGroup
from automl_cv.errors import AutomlError, AutomlWarning, trouble
from automl_cv.loading import process_is_ours
from automl_cv.screen import streams
from automl_cv.screen.console import caution, complain

# Ended from outside, a command ends as with Ctrl-C. What is ignored (`nohup`) stays so.
ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)
INTERRUPTED = 128 + signal.SIGINT
TIMES_TO_WAIT, SECONDS_TO_WAIT = 100, 0.01
"""For an object to end that would take no interrupt, before it is broken off."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"automl-cv {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Search the best image classifier for a folder of images, stage by stage.

    Start with: automl-cv search quickstart
    """


def build() -> typer.Typer:
    """Return the application with every command found in `cli/commands`."""
    app = typer.Typer(
        name="automl-cv",
        cls=PlainGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # no rounded boxes beside the light rules of the reports
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        if hasattr(module, "app"):
            for command in module.app.registered_commands:
                command.cls = PlainCommand
            app.add_typer(module.app, name=found.name, cls=PlainGroup)
        else:
            app.command(name=found.name, cls=PlainCommand)(getattr(module, found.name))
    return app


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show what this package warns of as a line; Python's own way names a line of our code."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, AutomlWarning):
            caution(str(message))
        else:
            before(message, category, *where, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _signals_end_as_ctrl_c() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt on the signals of `ENDING`; yield the list of those that came."""
    came: list[int] = []
    waited = count()

    def end(number: int, frame: FrameType | None) -> None:
        if _drops_errors(frame) and next(waited) < TIMES_TO_WAIT:
            threading.Timer(SECONDS_TO_WAIT, _send, [number]).start()
            return
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ENDING}
    taken = {number: handler for number, handler in before.items() if handler in UNTOUCHED}
    for number in taken:
        signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _drops_errors(frame: FrameType | None) -> bool:
    """Tell whether Python only prints what is raised there: as objects end, in `__del__`."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename == weakref.__file__:
            return True
        frame = frame.f_back
    return False


def _send(number: int) -> None:
    """Send a signal to the main thread, which wakes from whatever it waits for."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _run() -> None:
    with _signals_end_as_ctrl_c() as came:
        try:
            with _warnings_as_lines():
                build()(prog_name="automl-cv")
        except SystemExit as ended:
            if ended.code == INTERRUPTED and came:  # Typer has made it of the interrupt
                sys.exit(128 + came[0])
            raise
        finally:
            streams.flush_streams()


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 wrong use or input.

    Ended from outside it is 128 and the signal's number, as shells have it: 130 after Ctrl-C.
    """
    debug = "--debug" in sys.argv
    process_is_ours()
    streams.prepare()
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: nothing is wrong with us.
        sys.stderr.close()
        sys.exit(0)
    except AutomlError as error:
        if debug:
            traceback.print_exc()
        complain(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and streams.failed_in(error.__traceback__):
            error.filename = error.filename or "stdout"
            streams.abandon()
        if lacks := trouble(error):
            complain(lacks)
            sys.exit(1)
        where = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            f"{type(error).__name__}: {error} (in {where.name}, a bug of automl-cv; "
            "run again with --debug for the traceback)"
        )
        sys.exit(1)
