"""The first weights that Keras draws for a dense layer, drawn without it, equal to the bit."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

# Philox 4x32-10 of Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy as
# 1, 2, 3", table 2 and section 4: two multipliers, and by what the two words of the key grow.
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
GROWTHS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)

# What TensorFlow mixes a seed with (tensorflow/core/kernels/stateless_random_ops.cc,
# GenerateKey).
SEED_KEY = (0x3EC8F720, 0x02461E29)


def philox(counters: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Return four words for each counter, uint32 (counters, 4).

    Args:
        counters: of four words each, uint64 (counters, 4), none above 2**32 - 1.
        key: two words.
    """
    one, two, three, four = counters.T
    keys = list(key)
    for _ in range(ROUNDS):
        low, high = one * MULTIPLIERS[0], three * MULTIPLIERS[1]
        one = (high >> HALF) ^ two ^ np.uint64(keys[0])
        three = (low >> HALF) ^ four ^ np.uint64(keys[1])
        two, four = high & WORD, low & WORD
        keys = [(word + growth) & int(WORD) for word, growth in zip(keys, GROWTHS, strict=True)]
    return np.stack([one, two, three, four], axis=1).astype(np.uint32)


def uniform(seed: int, count: int) -> NDArray[np.float32]:
    """Return what `tf.random.stateless_uniform` draws from the seed (seed, 0), float32.

    Args:
        seed: from 0, below 2**32.
        count: how many numbers from 0, below 1.
    """
    ((*key, third, fourth),) = philox(np.array([[seed, 0, 0, 0]], np.uint64), SEED_KEY).tolist()
    counters = np.zeros((-(-count // 4), 4), np.uint64)
    counters[:, 0] = np.arange(len(counters))
    counters[:, 2:] = third, fourth
    words = philox(counters, (key[0], key[1])).reshape(-1)[:count]
    # 23 bits after the point of a number from 1, below 2 (random_distributions.h, Uint32ToFloat).
    return ((words & np.uint32(0x7FFFFF)) | np.uint32(127 << 23)).view(np.float32) - np.float32(1)


def glorot_uniform(seed: int, features: int, classes: int) -> NDArray[np.float32]:
    """Return the kernel of a process's first `keras.layers.Dense`, float32 (features, classes).

    Args:
        seed: which `keras.utils.set_random_seed` was given. Keras draws the layer's own seed with
            Python's random numbers (keras/src/random/seed_generator.py, make_default_seed).
        features: length of a feature vector.
        classes: units of the layer.
    """
    own = random.Random(seed).randint(1, 10**9)
    # Glorot and Bengio 2010; the variance of a uniform number is a third of its limit's square.
    limit = np.float32(math.sqrt(3 / ((features + classes) / 2)))
    drawn = uniform(own, features * classes) * (limit - -limit) + -limit
    return drawn.reshape(features, classes)
