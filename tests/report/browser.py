"""Headless Chromium on a page: what it says of itself after a script of ours has run in it."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
DARK = "--blink-settings=preferredColorScheme=0"
_HEARS = """<script>
window.told = [];
addEventListener("error", (event) => told.push("error: " + event.message));
addEventListener("unhandledrejection", (event) => told.push("rejected: " + event.reason));
addEventListener("securitypolicyviolation", (event) => told.push("asked for " + event.blockedURI));
for (const name of ["error", "warn"]) {
  console[name] = (...words) => told.push(name + ": " + words.join(" "));
}
</script>"""
_ANSWERS = """<script>
addEventListener("load", async () => {{
  const at = performance.now();
  document.body.getBoundingClientRect();
  const answer = {{ told, at, laid: performance.now() }};
  answer.found = await (async () => {{ {script} }})();
  answer.requests = performance.getEntriesByType("resource").map((one) => one.name);
  const element = document.createElement("pre");
  element.id = "answer";
  element.textContent = JSON.stringify(answer);
  document.body.replaceChildren(element);
}});
</script>"""


@functools.cache
def browser() -> str | None:
    """Return the path of a Chromium; None where none is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def asked(
    page: str, script: str = "", *, width: int = 1200, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Load a page, run a script's body in it, and return what came of both.

    Args:
        page: HTML.
        script: statements of JavaScript, which may await; what they return is `found`.
        width: of the window, in pixels; Chromium's least is 500.
        options: more of Chromium's.

    Returns:
        told: errors, warnings and refused requests; found; requests, addresses; at and laid:
        milliseconds from the start to the load event, and to the end of the first layout.
    """
    heard = page.replace("<head>", f"<head>{_HEARS}", 1)
    heard = heard.replace("</body>", _ANSWERS.format(script=script) + "</body>", 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(heard, encoding="utf-8")
        done = _shown(file, "--dump-dom", *options, width=width, height=900)
    found = re.search(r'<pre id="answer">(.*?)</pre>', done, re.DOTALL)
    assert found, done[:2000]
    answer: dict[str, Any] = json.loads(unescape(found[1]))
    return answer


def loading(file: Path) -> tuple[float, float]:
    """Return milliseconds until a page has loaded, and until it is laid out."""
    answer = asked(file.read_text(encoding="utf-8"))
    return answer["at"], answer["laid"]


def shot(file: Path, *, width: int, height: int, dark: bool = False) -> bytes:
    """Return the top of a page as a PNG file.

    Args:
        file: HTML.
        width: of the window, in pixels; Chromium's least is 500.
        height: likewise.
        dark: as a reader whose system is dark has it.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        more = [DARK] if dark else []
        _shown(file, f"--screenshot={picture}", *more, width=width, height=height)
        return picture.read_bytes()


def _shown(file: Path, *options: str, width: int, height: int) -> str:
    """Run Chromium on a page, and return what it writes to stdout."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                browser() or "chromium",
                "--headless=new",
                "--no-sandbox",  # root has none, as in CI; the page is our own
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                *options,
                file.resolve().as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
    return done.stdout
