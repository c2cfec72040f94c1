"""How far a winner's corrected figures are from the truth, and how often the interval holds it.

    python -m tests.benchmarks.selection_coverage [--repeats 300]

30 configurations of known accuracy, two classes; whether an image is classified right depends on
how hard it is for all (a share `together` of the variance) and on each. "equal": all 0.9;
"spread": 0.80 to 0.92; "one best": 0.93, the others 0.85. The truth is that of the configuration
which is chosen on all images. Beside it Wilson's interval of the raw accuracy, as if nothing had
been chosen, and percentiles of the images left out, as the method was published.
"""

from __future__ import annotations

import argparse

import numpy as np

from automl_cv.catalog.metrics import METRICS
from automl_cv.results import selection
from automl_cv.results.resamples import Candidates
from automl_cv.results.selection import correct
from automl_cv.scoring import wilson
from tests.later import later

with later():
    from scipy.stats import norm

SCENES = {
    "equal": np.full(30, 0.9),
    "spread": np.linspace(0.80, 0.92, 30),
    "one best": np.r_[0.93, np.full(29, 0.85)],
}
SHARPNESS = 3.0  # of probabilities
NODES, SHARES = np.polynomial.hermite_e.hermegauss(80)


def drawn(
    draw: np.random.Generator, accuracies: np.ndarray, n_images: int, together: float
) -> Candidates:
    """Draw images, and what each configuration says of them."""
    labels = draw.integers(0, 2, n_images)
    hard = draw.normal(size=n_images)
    own = draw.normal(size=(len(accuracies), n_images))
    margins = norm.ppf(accuracies)[:, None] + np.sqrt(together) * hard + np.sqrt(1 - together) * own
    right = 1 / (1 + np.exp(-SHARPNESS * margins))
    second = np.where(labels == 1, right, 1 - right)
    losses = np.logaddexp(0, -SHARPNESS * margins)
    return Candidates(labels, np.stack([1 - second, second], axis=2), losses)


def true_losses(accuracies: np.ndarray) -> np.ndarray:
    """Return the expected log loss of each configuration."""
    losses = np.logaddexp(0, -SHARPNESS * (norm.ppf(accuracies)[:, None] + NODES))
    return (losses * SHARES).sum(axis=1) / SHARES.sum()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    print(
        "scene      images together |  raw off  corrected off | raw Wilson  percentiles  ours, "
        "width |  log loss off, covers, width"
    )
    published: list[tuple[float, float]] = []
    ends_of = selection._ends_of

    def noting(metric, n_images, spread):
        made = ends_of(metric, n_images, spread)

        def ends(value, found):
            if metric.name == "accuracy":
                low, high = np.quantile(found, (0.025, 0.975))
                published.append((float(low), float(high)))
            return made(value, found)

        return ends

    selection._ends_of = noting
    for scene, accuracies in SCENES.items():
        losses = true_losses(accuracies)
        for n_images in (40, 160, 400, 1400):
            for together in (0.3, 0.8):
                rows = []
                for number in range(repeats):
                    candidates = drawn(draw, accuracies, n_images, together)
                    found = correct(candidates, METRICS["accuracy"], resamples=300, seed=number)
                    true, true_loss = accuracies[found.selected], losses[found.selected]
                    one, loss = found.metric, found.log_loss
                    ends = wilson(one.raw, n_images), published[-1], (one.low, one.high)
                    rows.append(
                        [
                            one.raw - true,
                            one.value - true,
                            *(low <= true <= high for low, high in ends),
                            one.high - one.low,
                            loss.value - true_loss,
                            loss.low <= true_loss <= loss.high,
                            loss.high - loss.low,
                        ]
                    )
                told = np.mean(np.array(rows, float), axis=0)
                print(
                    f"{scene:<9} {n_images:>7} {together:>8} | {told[0]:>+8.4f} {told[1]:>+14.4f} |"
                    f" {told[2]:>10.3f} {told[3]:>12.3f} {told[4]:>6.3f} {told[5]:>6.3f} |"
                    f" {told[6]:>+13.4f} {told[7]:>7.3f} {told[8]:>6.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
