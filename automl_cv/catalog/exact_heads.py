"""The heads that are solved exactly: linear in the features, without an optimizer or a rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class ExactHeadEntry(SettableEntry):
    """An exact head; its target is a class of `solving` that holds what a solution needs.

    It is made with (features, labels, classes, **parameters): float64 (images, features) as
    `scaling` has them, class indices (images,), and the number of classes; parameters but for
    its strength and its scaling. `solve(strength)` returns weights (features, classes) and bias
    (classes,) of one strength of regularisation; `path(strengths)` yields them for many, the
    strongest first.

    Args:
        is_linear: whether it is linear in the features. One that is not gets them in their form
            alone (`scaling.formed`), and has a method `head(form, weights, bias)`.
        strength: the parameter that says how strong it is regularised; 0 has it found.
        strengths: what is tried then, the strongest first.
        gives_probabilities: whether softmax of its logits says how sure it is. Others are
            divided by a temperature, fitted on images that they were not trained on.
    """

    is_linear: bool = True
    strength: str
    strengths: tuple[float, ...]
    gives_probabilities: bool = True


# What is done to the features first.
SCALING = {"scaling": Setting("standard", choices=("standard", "unit", "root"))}

# The same where each feature keeps its own scale: vectors of length 1.
FORM = {"form": Setting("root", choices=("unit", "root"))}

# Squared weights weigh in the sum of losses with half of it: 1 is scikit-learn's C = 1.
_PENALTY = {"penalty": Setting(0.0, lowest=0)}


def _falling(highest: float, lowest: float, each: float) -> tuple[float, ...]:
    """Return numbers that fall by a factor, to three figures."""
    count = round(math.log(highest / lowest) / math.log(each)) + 1
    return tuple(float(f"{highest / each**number:.3g}") for number in range(count))


# Three for each power of ten: 22.
PENALTIES = _falling(1e4, 1e-3, 10 ** (1 / 3))

EXACT_HEADS: Table[ExactHeadEntry] = Table(
    "exact head",
    [
        ExactHeadEntry(
            name="logistic",
            about="multinomial logistic regression",
            target="automl_cv.solving.logistic:Logistic",
            parameters={**_PENALTY, **SCALING},
            strength="penalty",
            strengths=PENALTIES,
        ),
        ExactHeadEntry(
            name="lda",
            about="linear discriminant analysis, its covariance shrunk",
            target="automl_cv.solving.discriminant:Discriminant",
            parameters={"shrinkage": Setting(0.0, lowest=0, highest=1), **SCALING},
            strength="shrinkage",
            strengths=_falling(1.0, 1e-3, 10 ** (1 / 4)),
            gives_probabilities=False,
        ),
        ExactHeadEntry(
            name="ridge",
            about="ridge regression on the classes",
            target="automl_cv.solving.ridge:Ridge",
            parameters={**_PENALTY, **SCALING},
            strength="penalty",
            strengths=PENALTIES,
            gives_probabilities=False,
        ),
        ExactHeadEntry(
            name="kernel",
            about="ridge regression on the likeness to each training image; not linear",
            target="automl_cv.solving.kernel:Kernel",
            parameters={
                **_PENALTY,
                "reach": Setting(0.3, lowest=0, open_ends=(True, False)),
                **FORM,
            },
            is_linear=False,
            strength="penalty",
            strengths=_falling(10.0, 1e-4, 10 ** (1 / 2)),
            gives_probabilities=False,
        ),
    ],
)
