"""Where things lie where nobody says it: the database, and the cache."""

from __future__ import annotations

from pathlib import Path

STORAGE = "sqlite:///automl-cv.db"
"""The database, as an SQLAlchemy address: a file where one is."""

CACHE_VARIABLE = "AUTOML_CV_CACHE_DIR"
"""The environment's variable that names the cache folder."""


def cache_folder(chosen: str | Path | None) -> Path:
    """Return the folder that was chosen, or the user's own cache folder."""
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("automl-cv", appauthor=False))
