"""Weights that belong to a backbone: where they are, and how to know them again."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path

EMBEDDED_FOLDER = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that belong to a backbone: where they are, and how to know them again.

    Args:
        file_name: name of the weights file, or its path within the package.
        about: what they were trained on.
        licence: SPDX identifier of their licence.
        url: where Keras publishes the file; empty for a file that is not downloaded.
        package: the package that holds the file, as it is imported; empty for others.
        extra: the extra of automl-cv that installs the package.
        digest: hash of the file that is downloaded or comes in a package, in hexadecimal
            digits: 32 of MD5, 64 of SHA-256.
        megabytes: of a file that is downloaded: of the numbers that it holds.
    """

    file_name: str
    about: str
    licence: str
    url: str = ""
    package: str = ""
    extra: str = ""
    digest: str = ""
    megabytes: float = 0.0

    @property
    def embedded(self) -> bool:
        """Whether the file comes with automl-cv."""
        return not self.url and not self.package

    @property
    def algorithm(self) -> str:
        """What `digest` is made with, as `hashlib` calls it; empty without one."""
        return {0: "", 32: "md5", 64: "sha256"}[len(self.digest)]

    @property
    def distribution(self) -> str:
        """The package as it is installed."""
        return self.package.replace("_", "-")

    @property
    def path(self) -> Path:
        """Where the file is, or where Keras or pip puts it."""
        if self.package:
            return _package_folder(self.package) / self.file_name
        folder = EMBEDDED_FOLDER if self.embedded else keras_models_folder()
        return folder / self.file_name


def keras_models_folder() -> Path:
    """Return the folder where Keras keeps downloaded weights; KERAS_HOME moves it."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _package_folder(name: str) -> Path:
    """Return where a package is, or where pip puts it. Imports nothing."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return Path(sysconfig.get_path("purelib")) / name
    return Path(found.submodule_search_locations[0])
