"""Trains a network without anything of `fit`: `python -m tests.end_to_end.trained_again FOLDER`.

FOLDER/task.pickle holds (messages.Prepare, stage, parameters, seed, replay, rows of images). A
process of its own, as a worker is: pandas and training do not go together in one.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

from automl_cv.worker.networks import Networks
from automl_cv.worker.task import task_of


def main() -> None:
    made = Path(sys.argv[1])
    prepare, stage, parameters, seed, replay, rows = pickle.loads(
        (made / "task.pickle").read_bytes()
    )
    networks = Networks(prepare, lambda *progress: None)
    networks.prepare()
    both = np.flatnonzero(np.isin(prepare.images.splits, ("train", "validation")))
    trainer = networks.trainer(stage.augmentation_of(parameters), both, both)
    task = task_of(stage, parameters, seed)
    result = trainer.train(task, lambda epoch: None, replay=replay)
    network = networks.build(task)
    network.set_weights(list(result.weights))
    logits = np.asarray(network(networks.pixels[rows].astype(np.float32), training=False))
    np.savez(made / "trained.npz", *result.weights, logits=logits)


if __name__ == "__main__":
    main()
