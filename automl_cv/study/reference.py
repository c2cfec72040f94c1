"""The reference: what a classifier is worth that nobody had to search for."""

from __future__ import annotations

from automl_cv.study.stage import Stage

NAME = "reference"
"""What `--trial` and tables call it."""

STAGE = Stage.model_validate(
    {
        "name": NAME,
        "about": "logistic regression on the same features, standardised",
        "trials": 1,
        "exact": {"name": "logistic"},
    }
)
"""How it is trained where folds validate: with the penalty of lowest log loss there."""
