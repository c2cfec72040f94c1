"""Writes a report's file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from automl_cv.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file such that no reader ever sees a part of it.

    Args:
        path: the file; one that exists is replaced.
        content: all of it.

    Raises:
        UserError: the folder does not exist or can't be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                file.write(content)
                file.close()
                # A temporary file is private; a report gets the mode of any new file.
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(file.name, 0o666 & ~mask)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise UserError(f"--out {path}: can't be written: {error.strerror}") from None
