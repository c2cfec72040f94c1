"""automl-cv: stage-wise Optuna studies for image classification on frozen ResNet features.

The public Python API, imported when it is first used:

    automl_cv.run(study, data)              a search; returns its leaderboard
    automl_cv.leaderboard(storage, study)   trials with a result, best first, as a DataFrame
    automl_cv.unfinished(storage, study)    trials without one
    automl_cv.epochs(storage, study)        every epoch of every trial
    automl_cv.comparison(storage, study)    retrained trials beside one another, with verdicts
    automl_cv.claims(storage, study)        what the study's source said, confirmed or refuted
    automl_cv.importance(storage, study)    which searched parameters mattered
    automl_cv.Classifier.load(folder)       a saved classifier: predict, predict_proba, classes
    automl_cv.AutoClassifier(study).fit(X, y)  search and fit, with scikit-learn's methods
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_cv.classifier import Classifier
    from automl_cv.estimator import AutoClassifier
    from automl_cv.results.claims import claims
    from automl_cv.results.importance import importance
    from automl_cv.results.leaderboard import epochs, leaderboard, unfinished
    from automl_cv.results.pairs import comparison
    from automl_cv.searching import run

__version__ = "0.1.0"

__all__ = [
    "AutoClassifier",
    "Classifier",
    "__version__",
    "claims",
    "comparison",
    "epochs",
    "importance",
    "leaderboard",
    "run",
    "unfinished",
]

# Name to the module that defines it. Importing automl_cv alone must stay cheap: neither
# pandas nor Optuna is needed for `--help`.
_PUBLIC = {
    "AutoClassifier": "automl_cv.estimator",
    "Classifier": "automl_cv.classifier",
    "claims": "automl_cv.results.claims",
    "comparison": "automl_cv.results.pairs",
    "epochs": "automl_cv.results.leaderboard",
    "importance": "automl_cv.results.importance",
    "leaderboard": "automl_cv.results.leaderboard",
    "run": "automl_cv.searching",
    "unfinished": "automl_cv.results.leaderboard",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
