"""What TensorFlow finds on this machine, as one line of JSON.

    python -m automl_cv.engine.devices

`doctor` runs it in a process of its own: TensorFlow takes seconds to load, writes to
stderr what nobody can act on, and on a broken installation may end the process.
"""

from __future__ import annotations

import json
import os

from automl_cv.engine import runtime


def found() -> dict[str, list[str]]:
    """Return names of devices by kind: "CPU" and "GPU"."""
    import tensorflow as tf  # here, after `runtime`, which decides how it loads

    cards = [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]
    return {"CPU": [f"{os.cpu_count()} cores"], "GPU": cards}


if __name__ == "__main__":
    print(json.dumps({"devices": found(), "versions": runtime.versions()}))
