"""automl-cv: stage-wise Optuna studies for image classification on frozen ResNet features.

The public Python API, imported when it is first used:

    automl_cv.leaderboard(storage, study)   trials with a result, best first, as a DataFrame
    automl_cv.unfinished(storage, study)    trials without one
    automl_cv.epochs(storage, study)        every epoch of every trial
    automl_cv.Classifier.load(folder)       a saved classifier: predict, predict_proba, classes
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_cv.classifier import Classifier
    from automl_cv.store.leaderboard import epochs, leaderboard, unfinished

__version__ = "0.1.0"

__all__ = ["Classifier", "__version__", "epochs", "leaderboard", "unfinished"]

# Name to the module that defines it. Importing automl_cv alone must stay cheap: neither
# pandas nor Optuna is needed for `--help`.
_PUBLIC = {
    "Classifier": "automl_cv.classifier",
    "epochs": "automl_cv.store.leaderboard",
    "leaderboard": "automl_cv.store.leaderboard",
    "unfinished": "automl_cv.store.leaderboard",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
