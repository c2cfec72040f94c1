"""What a report says of how far the stages came."""

from __future__ import annotations

import pytest

from automl_cv.store.progress import Progress, outdone_lines, progress_lines


@pytest.mark.parametrize(
    ("course", "finished", "lines"),
    [
        (Progress(10), 10, []),
        (Progress(10), 9, ["9 of 10 trials"]),
        (Progress(10, is_cut=True), 4, ["4 of 10 trials (the time ended)"]),
        (Progress(10, is_begun=False, is_cut=True), 0, ["not begun (the time ended)"]),
        (
            Progress(1, n_sets=1),
            1,
            [
                "the space holds one parameter set, fewer than the trials asked for; it is "
                "tried once"
            ],
        ),
        (
            Progress(6, n_sets=6, redrawn=(3, 5)),
            6,
            [
                "the space holds 6 parameter sets, fewer than the trials asked for; each is "
                "tried once",
                "2 of 6 trials drew parameter sets that earlier trials have, and were drawn anew",
            ],
        ),
        (
            Progress(6, redrawn=(3,)),
            6,
            ["1 of 6 trials drew a parameter set that an earlier trial has, and was drawn anew"],
        ),
    ],
)
def test_lines(course, finished, lines):
    assert course.lines(finished) == lines
    expected = [f"stage coarse: {line}" for line in lines]
    assert progress_lines({"coarse": course}, {"coarse": finished}) == expected


def test_outdone_finalists_are_named():
    finalists = {"finalists": ("coarse/0", "coarse/2", "narrowed/1"), "again": ("coarse/0",)}
    contenders = {"finalists": ("narrowed/1", "coarse/0")}
    assert outdone_lines(finalists, contenders) == [
        "stage finalists: coarse/2 trained again too, and outdone since"
    ]
