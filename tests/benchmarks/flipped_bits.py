"""What becomes of figures where a bit of a file flipped: a database of 30 trials, a bundle.json.

    python tests/benchmarks/flipped_bits.py [--tries 1000] [--seed 1]

Flips one random bit of the file, reads it in this process as a search does and as `report` does,
and puts the bit back. Every trial, curve, parameter, prediction and fact that is left must be that
of the sound file; where one is missing, or the report is another, a line must have said so.
Ends with 1 where other figures came silently, or something no line was meant for was raised.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

from automl_cv.report.formats import FORMATS
from automl_cv.report.leaderboard import compose
from automl_cv.results.corrected import corrected
from automl_cv.results.leaderboard import read_run
from automl_cv.store.database import open_storage
from automl_cv.store.records import DAMAGED
from tests.flipped import OUTCOMES, Seen, fill, flips, seen_of_manifest, seen_of_records
from tests.saved.saved import write_saved
from tests.stored import put


def seen_of_database(file: Path) -> Seen:
    """Read a database as a search does, and make its report."""
    seen = seen_of_records(file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        storage = open_storage(f"sqlite:///{file}", create=False)
        try:
            read = read_run(storage)
            report = compose(read, winner=corrected(storage, read))
            # The table has a line in several pieces, one below the other.
            board, whole = (FORMATS[name].load()(report) for name in ("table", "markdown"))
        finally:
            storage.remove_session()
            storage.engine.dispose()
    told = tuple(str(one.message) for one in caught)
    if any(one.reason == DAMAGED for one in read.unranked):
        assert DAMAGED in whole
        told = (*told, DAMAGED)
    # What only the search reads, such as what samplers keep, changes no report.
    parts = seen.parts if told else {**seen.parts, "report": board}
    return replace(seen, text=f"{seen.text}\n{board}", parts=parts, told=(*seen.told, *told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "automl-cv.db"
        put(database, fill)
        manifest = write_saved(Path(folder) / "model") / "bundle.json"
        wrong = 0
        print("| file | bytes | tries | " + " | ".join(OUTCOMES) + " |")
        for file, see in ((database, seen_of_database), (manifest, seen_of_manifest)):
            count, found = flips(file, see, options.tries, options.seed)
            figures = (file.stat().st_size, options.tries, *(count[one] for one in OUTCOMES))
            print(f"| {file.name} | " + " | ".join(f"{one:,}" for one in figures) + " |")
            for bit, one, line in found:
                if one in OUTCOMES[2:]:
                    wrong += 1
                    print(f"bit {bit}: {one}: {line}", file=sys.stderr)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
