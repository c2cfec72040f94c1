"""How well features tell foreign images from a classifier's own, and whether the promise holds.

    apt-get download tuxpaint-stamps-default ufoai-textures dataset-fashion-mnist
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/foreign.py --root debian --out foreign

Sets of `worth_sets.py` and their backbones as in `suggest.py`. Of 100 random splits of a set,
60 % are trained on; the others are the set's own new images. For each split the threshold is
found from the training images alone, as `fit` does. Own images beyond it are the share that was
promised, or not; another set's images should be.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from suggest import features_of

from automl_cv.solving.distance import fitted, threshold

# Its own images, those that are foreign to them.
PAIRS = (
    ("digits", "all-clothes"),
    ("all-clothes", "digits"),
    ("surfaces", "cut-outs"),
    ("cut-outs", "surfaces"),
)
TRAINED, MOST_TRAINED, MOST_NEW = 0.6, 1500, 2000
SHARES = (0.01, 0.05)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("foreign"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    asked = parser.parse_args()
    known = {
        name: np.asarray(features_of(name, asked.out, asked.root)[0], np.float64)
        for name in {name for pair in PAIRS for name in pair}
    }
    print("| own images | foreign | AUROC | promised | own called foreign | foreign found |")
    print("|---|---|---|---|---|---|")
    for own, other in PAIRS:
        features, strange = known[own], known[other][:MOST_NEW]
        curves: list[float] = []
        wrong: dict[float, list[float]] = {share: [] for share in SHARES}
        found: dict[float, list[float]] = {share: [] for share in SHARES}
        for split in range(asked.splits):
            order = np.random.default_rng(split).permutation(len(features))
            size = min(round(TRAINED * len(features)), MOST_TRAINED)
            train, new = features[order[:size]], features[order[size : size + MOST_NEW]]
            distance = fitted(train)
            near, far = distance.of(new), distance.of(strange)
            truth = np.repeat([0, 1], [len(near), len(far)])
            curves.append(roc_auc_score(truth, np.concatenate([near, far])))
            for share in SHARES:
                given = threshold(train, list(map(str, range(size))), seed=split, share=share)
                assert given is not None
                wrong[share].append(float((near > given.distance).mean()))
                found[share].append(float((far > given.distance).mean()))
        for share in SHARES:
            cells = (
                f"{np.mean(curves):.4f}",
                f"{share:.0%}",
                f"{np.mean(wrong[share]):.2%}",
                f"{np.mean(found[share]):.1%}",
            )
            print(f"| {own} | {other} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
