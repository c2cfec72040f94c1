"""Trains a network without anything of `fit`: `python -m tests.end_to_end.trained_again FOLDER`.

FOLDER/task.pickle holds (messages.Prepare, trial, replay, rows of images). A
process of its own, as a worker is: pandas and training do not go together in one.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_cv.worker.materials import Materials


def main() -> None:
    made = Path(sys.argv[1])
    prepare, trial, replay, rows = pickle.loads((made / "task.pickle").read_bytes())
    materials = Materials(prepare, lambda *progress: None, lambda space: None, whole=True)
    materials.prepare_trial(trial)
    networks = materials.kind(trial.stage)
    task = replace(trial.task, metric="accuracy")
    result = networks.prepare(trial).train(task, lambda epoch: None, replay=replay)
    network = networks.build(task)
    network.set_weights(list(result.weights))
    pixels = materials.pixels.array[rows].astype(np.float32)
    logits = np.asarray(network(pixels, training=False))
    np.savez(made / "trained.npz", *result.weights, logits=logits)


if __name__ == "__main__":
    main()
