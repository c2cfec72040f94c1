"""Write a tiny DINOv2 of random weights, and what its authors' code makes of images.

    python tests/engine/record_dinov2.py DINOV2

DINOV2 is a clone of https://github.com/facebookresearch/dinov2 (Apache-2.0); PyTorch is needed.
What lies beside was written from its commit b8931f7, by PyTorch 2.14.1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SHAPE = {"embed_dim": 8, "depth": 4, "num_heads": 2, "patch_size": 2, "img_size": 6}
SIZES = (6, 10, 4)
"""Of images: as many patches as there are positions, more, fewer."""


def main() -> None:
    os.environ["XFORMERS_DISABLED"] = "1"
    sys.path.insert(0, sys.argv[1])
    import torch
    from dinov2.models.vision_transformer import DinoVisionTransformer

    torch.manual_seed(0)
    # As dinov2/hub/backbones.py makes it.
    network = DinoVisionTransformer(
        **SHAPE,
        init_values=1.0,
        block_chunks=0,
        interpolate_offset=0.1,
        interpolate_antialias=False,
    ).eval()
    found = {}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        torch.save(network.state_dict(), HERE / "dinov2_tiny.pth")
        for size in SIZES:
            draw = np.random.default_rng(size)
            images = torch.from_numpy(draw.normal(size=(2, 3, size, size)).astype(np.float32))
            given = network.forward_features(images)
            tokens = [given["x_norm_clstoken"][:, None], given["x_norm_patchtokens"]]
            (third,) = network._get_intermediate_layers_not_chunked(images, n=[2])
            found[f"images{size}"] = images.permute(0, 2, 3, 1).numpy()
            found[f"tokens{size}"] = torch.cat(tokens, 1).numpy()
            found[f"third{size}"] = third.numpy()
    np.savez_compressed(HERE / "dinov2_tiny.npz", **found)


if __name__ == "__main__":
    main()
