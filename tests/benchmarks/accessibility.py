"""Looks at the report's pages with axe-core, dark and light, and for what a phone has no room for.

    npm pack axe-core && tar xzf axe-core-*.tgz
    python tests/benchmarks/accessibility.py --axe package/axe.min.js PAGE.html …

Prints for each page and colour scheme the rules that axe-core passed and violated, in a window of
500 pixels (the narrowest that Chromium has) and of 1,200; then whether anything but a table that
scrolls is wider than a frame of 380 pixels. Ends with 1 where there is a violation. axe-core is no
dependency: it is 0.6 MB of JavaScript, and the rules change with its version, which is printed.
"""

from __future__ import annotations

import argparse
import html
import sys
from pathlib import Path

from tests.report.browser import DARK, asked

WAITS = "--virtual-time-budget=60000"  # axe-core answers later; this is the page's time, not ours
RUNS = """
for (const one of document.querySelectorAll("section")) one.style.contentVisibility = "visible";
const found = await axe.run();
return {
  version: axe.version,
  passes: found.passes.length,
  open: found.incomplete.map((one) => one.id + " " + JSON.stringify(one.nodes.reduce(
    (counts, node) => {
      const why = [...node.any, ...node.all].map((check) => check.data?.messageKey).join();
      return { ...counts, [why]: (counts[why] || 0) + 1 };
    }, {}))),
  violations: found.violations.map(
    (one) => one.id + ": " + one.help + ": " + one.nodes.map((node) => node.html).slice(0, 3)),
};
"""
PHONE = 380
WIDE = """
const inner = document.querySelector("iframe").contentDocument.documentElement;
return [inner.scrollWidth, inner.clientWidth];
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--axe", type=Path, required=True)
    options = parser.parse_args()
    axe = options.axe.read_text(encoding="utf-8")
    bad = False
    for file in options.pages:
        page = file.read_text(encoding="utf-8")
        with_axe = page.replace("</body>", f"<script>{axe}</script></body>", 1)
        for scheme, more in (("light", []), ("dark", [DARK])):
            for width in (500, 1200):
                found = asked(with_axe, RUNS, width=width, options=(WAITS, *more))["found"]
                print(
                    f"{file.name} {scheme} {width} px: axe-core {found['version']}: "
                    f"{found['passes']} rules passed, {len(found['violations'])} violated, to be "
                    f"looked at: {', '.join(found['open']) or 'none'}",
                    flush=True,
                )
                for line in found["violations"]:
                    print(f"  {line}")
                bad = bad or bool(found["violations"])
        frame = (
            "<html><head></head><body style='margin:0'>"
            f"<iframe srcdoc='{html.escape(page)}' width='{PHONE}' height='900' frameborder='0'>"
            "</iframe></body></html>"
        )
        wide, window = asked(frame, WIDE, width=600, options=(WAITS,))["found"]
        print(f"{file.name} in {PHONE} px: {wide} of {window} pixels wide")
        bad = bad or wide > window
    sys.exit(int(bad))


if __name__ == "__main__":
    main()
