"""automl-cv maps: what a network sees in an image, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli.options import Debug, Quiet
from automl_cv.errors import UserError, suggest
from automl_cv.screen.console import say, without_chatter

if TYPE_CHECKING:
    from automl_cv.data.images import Picture, Window
    from automl_cv.engine.maps import Network
    from automl_cv.saved.folder import SavedClassifier
    from automl_cv.study.studyfile import Backbone

    Found = Backbone | SavedClassifier | Path

WEIGHTS = "--weights"


def maps(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A backbone of the table, a folder that `fit` wrote, or a .keras file.",
        ),
    ],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of what is drawn; it is made.")
    ],
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="NAME,NAME",
            help="Layers to show; class maps are of the deepest.",
            show_default="one for each size of feature maps",
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="The class to map.",
            show_default="the predicted one",
        ),
    ] = None,
    channels: Annotated[
        int, typer.Option("--channels", min=1, help="Channels on a layer's page, the strongest.")
    ] = 64,
    score_channels: Annotated[
        int,
        typer.Option(
            "--score-channels",
            min=1,
            help="Channels that Score-CAM tries; each is an image through the network.",
        ),
    ] = 256,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=8,
            max=4096,
            metavar="PIXELS",
            help="Height and width that the image is resized to.",
            show_default="the network's own",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            WEIGHTS, metavar="FILE", help="Weights of a backbone.", show_default="its own"
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw what a network sees in an image: feature maps, and places that speak for a class.

    Places that speak for a class, by Grad-CAM and Score-CAM, need a trained model.

    Example: automl-cv maps compact photo.jpg --out maps
    """
    names = list(dict.fromkeys(filter(None, map(str.strip, (layers or "").split(",")))))
    found = _find(model, image_size, weights)
    picture = _read(image, _window(found))
    network = _load(found, image_size)

    from automl_cv.engine import classmaps
    from automl_cv.engine import maps as engine
    from automl_cv.pictures import pages

    shown = engine.feature_maps(network, picture.pixels, names)
    mapped = classmaps.class_maps(network, picture.pixels, names, class_name, score_channels)
    if mapped:
        one = mapped[0]
        say(f"class {one.class_name}: probability {one.probability:.4f}", quiet=quiet)
    else:
        say(f"no class maps: {classmaps.no_scores(network)}", quiet=quiet)
    height, width, _ = picture.pixels.shape
    given = pages.Input(
        pixels=network.resized(picture.pixels).round().clip(0, 255).astype("u1"),
        original=(height, width),
        name=image.name,
        network=Path(model).name,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = pages.write_all(out, given, shown, mapped, channels)
    except OSError as error:
        raise UserError(f"--out {out}: can't be written to: {error.strerror}") from None
    for path in written:
        typer.echo(path)


def _read(image: Path, window: Window | None) -> Picture:
    from automl_cv.data import images

    try:
        return images.read(image, window)
    except images.DamagedImage as error:
        raise UserError(f"{image}: {error}; expected an image, such as PNG or JPEG") from None


def _window(found: Found) -> Window | None:
    """Return the range of deep greys that a saved classifier was trained with."""
    from automl_cv.saved.folder import SavedClassifier

    return found.manifest.data.window if isinstance(found, SavedClassifier) else None


def _find(model: str, image_size: int | None, weights: str | None) -> Found:
    """Find what `model` names, and check it as far as that goes without TensorFlow."""
    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.features import weightfile
    from automl_cv.saved import folder, safety
    from automl_cv.study.studyfile import Backbone

    if model in BACKBONES:
        size = image_size or BACKBONES[model].image_size
        backbone = Backbone(name=model, image_size=size, weights=weights)
        weightfile.path_of(backbone, WEIGHTS)
        return backbone
    if weights is not None:
        raise UserError(f"{WEIGHTS}: {model} brings its own; leave the option out")
    path = Path(model).expanduser()
    if path.is_dir():
        saved = folder.read(path)
        if image_size not in (None, saved.manifest.image_size):
            takes = f"{model} takes {saved.manifest.image_size} pixels"
            raise UserError(f"--image-size: {takes}; leave the option out")
        return saved
    if path.suffix != ".keras":
        raise UserError(
            f"{model!r} is no folder that `automl-cv fit` wrote, no .keras file and no backbone: "
            f"{suggest(model, BACKBONES.names)}"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    safety.check_network(path)
    return path


def _load(found: Found, image_size: int | None) -> Network:
    from automl_cv.study.studyfile import Backbone

    with without_chatter():
        from automl_cv.engine import maps as engine
    if isinstance(found, Backbone):
        assert found.image_size is not None  # see `_find`
        return engine.of_backbone(found, found.image_size, WEIGHTS)
    if isinstance(found, Path):
        return engine.of_file(found, image_size)
    return engine.of_folder(found)
