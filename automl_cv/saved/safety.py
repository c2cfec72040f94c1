"""What a `.keras` file may hold: the layers that Keras itself brings, and nothing that runs code.

A network is data only as long as nothing in it names code. Keras's safe mode refuses Lambda
layers, but custom classes are found by name in the process that loads them, a few of Keras's
own layers unpickle or read other files, and safe mode has had holes (CVE-2025-1550,
CVE-2025-9906). So the file is looked through before Keras sees it.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automl_cv.errors import UserError
from automl_cv.words import shortened

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}

# Where the classes of a network of Keras's own layers come from (Keras 3.12 to 3.15).
_MODULES = re.compile(
    r"keras(\.(layers|models|initializers|regularizers|constraints|activations|dtype_policies)"
    r"|\.src\.(ops|layers|models|applications|dtype_policies)(\.\w+)*)?|builtins"
)
# Keras's own, but: code as bytes, pickles of PyTorch, functions of JAX, a saved graph or a
# vocabulary from any path.
_REFUSED = {
    *("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"),
    *("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"),
}
# What plain values are wrapped in; these name no code.
_VALUES = {"__keras_tensor__", "__tuple__", "__numpy__", "__tensor__", "__ellipsis__"}


def check_network(path: Path) -> None:
    """Look through a `.keras` file without loading it.

    Raises:
        UserError: it is none, or names code that isn't a layer or an operation of Keras's own.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            config = json.loads(archive.read("config.json"))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RecursionError):
        raise UserError(
            f"{path}: no network that Keras saved; pickles and .h5 files can hold code and are "
            "never loaded"
        ) from None
    if sorted(members) != sorted(MEMBERS):
        odd = sorted({*members} ^ MEMBERS) or sorted(members)
        raise UserError(
            f"{path}: refused: expected {', '.join(sorted(MEMBERS))} in it, once each; "
            f"the difference: {', '.join(map(repr, odd[:3]))}"
        )
    for named in _objects(config):
        _check_object(path, named)


def _check_object(path: Path, named: dict[str, Any]) -> None:
    kind, module = named.get("class_name"), named.get("module")
    if not isinstance(kind, str):
        raise UserError(f"{path}: refused: a class's name is {shortened(kind)}, expected a text")
    if kind in _VALUES and module is None:
        return
    if kind in _REFUSED:
        raise UserError(
            f"{path}: refused: it holds a {kind} layer, which runs code or reads files when it "
            "is loaded"
        )
    registered = named.get("registered_name")
    is_keras = isinstance(module, str) and _MODULES.fullmatch(module) is not None
    # Layers and operations are classes; Keras's functions are named by their config.
    is_class = kind[:1].isupper() or kind == "function"
    if not (is_keras and is_class) or registered not in (None, kind):
        name = registered or f"{module}.{kind}"
        raise UserError(
            f"{path}: refused: it names {name!r}, which is no layer or operation of Keras's own; "
            "code of other packages is never run"
        )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each dict in nested plain data that Keras would make an object of."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
