"""The heads that are solved exactly: linear in the features, without an optimizer or a rate."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class ExactHeadEntry(SettableEntry):
    """An exact head; its target is a class of `solving` that holds what a solution needs.

    It is made with (features, labels, classes): float64 (images, features) as `scaling` has
    them, class indices (images,), and the number of classes. Its method `solve` takes the
    entry's own parameters and returns weights (features, classes) and bias (classes,).
    Parameters of SCALING are left to who scales the features, the target does not get them.

    Args:
        gives_probabilities: whether softmax of its logits says how sure it is. Others are
            divided by a temperature, fitted on images that they were not trained on.
    """

    gives_probabilities: bool = True


# What is done to the features first, whatever the head.
SCALING = {"scaling": Setting("standard", choices=("standard", "unit"))}

# Squared weights weigh in the sum of losses with half of it: 1 is scikit-learn's C = 1.
_PENALTY = {"penalty": Setting(1.0, lowest=0, open_ends=(True, False))}

EXACT_HEADS: Table[ExactHeadEntry] = Table(
    "exact head",
    [
        ExactHeadEntry(
            name="logistic",
            about="multinomial logistic regression",
            target="automl_cv.solving.logistic:Logistic",
            parameters={**_PENALTY, **SCALING},
        ),
        ExactHeadEntry(
            name="lda",
            about="linear discriminant analysis, its covariance shrunk",
            target="automl_cv.solving.discriminant:Discriminant",
            parameters={"shrinkage": Setting(0.1, lowest=0, highest=1), **SCALING},
            gives_probabilities=False,
        ),
        ExactHeadEntry(
            name="ridge",
            about="ridge regression on the classes",
            target="automl_cv.solving.ridge:Ridge",
            parameters={**_PENALTY, **SCALING},
            gives_probabilities=False,
        ),
    ],
)
