"""What TensorFlow finds on this machine, and which exports load, as one line of JSON.

    python -m automl_cv.engine.devices

`doctor` runs it in a process of its own: TensorFlow takes seconds to load, writes to
stderr what nobody can act on, and on a broken installation may end the process.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable

from automl_cv.catalog.engines import ENGINES, EngineEntry
from automl_cv.catalog.exports import EXPORTS, ExportEntry
from automl_cv.engine import runtime


def found() -> dict[str, list[str]]:
    """Return names of devices by kind: "CPU" and "GPU"."""
    import tensorflow as tf  # here, after `runtime`, which decides how it loads

    cards = [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]
    return {"CPU": [f"{os.cpu_count()} cores"], "GPU": cards}


def failures(entries: Iterable[ExportEntry | EngineEntry]) -> dict[str, str]:
    """Return, for entries whose packages are there, why one can't be imported.

    Packages that were built for other versions of each other raise more than ImportError.
    """
    broken = {}
    for entry in entries:
        for name in set(entry.needs) - set(entry.missing):
            try:
                importlib.import_module(name)
            except Exception as error:
                broken[entry.name] = f"{name} does not load: {str(error).strip() or repr(error)}"
    return broken


if __name__ == "__main__":
    answer = {
        "devices": found(),
        "exports": failures(EXPORTS),
        "engines": failures(ENGINES),
        "versions": runtime.versions(),
    }
    print(json.dumps(answer))
