"""What a report says of how far the stages came."""

from __future__ import annotations

import pytest

from automl_cv.store.course import Course, course_lines, outdone_lines
from automl_cv.store.records import StudyFacts, merged


@pytest.mark.parametrize(
    ("course", "finished", "lines"),
    [
        (Course(10), 10, []),
        (Course(10), 9, ["9 of 10 trials"]),
        (Course(10, is_cut=True), 4, ["4 of 10 trials (the time ended)"]),
        (Course(10, is_begun=False, is_cut=True), 0, ["not begun (the time ended)"]),
        (
            Course(1, n_sets=1),
            1,
            [
                "the space holds one parameter set, fewer than the trials asked for; it is "
                "tried once"
            ],
        ),
        (
            Course(6, n_sets=6, redrawn=(3, 5)),
            6,
            [
                "the space holds 6 parameter sets, fewer than the trials asked for; each is "
                "tried once",
                "2 of 6 trials drew parameter sets that earlier trials have, and were drawn anew",
            ],
        ),
        (
            Course(6, redrawn=(3,)),
            6,
            ["1 of 6 trials drew a parameter set that an earlier trial has, and was drawn anew"],
        ),
    ],
)
def test_lines(course, finished, lines):
    assert course.lines(finished) == lines
    expected = [f"stage coarse: {line}" for line in lines]
    assert course_lines({"coarse": course}, {"coarse": finished}) == expected


def test_outdone_finalists_are_named():
    finalists = {"finalists": ("coarse/0", "coarse/2", "narrowed/1"), "again": ("coarse/0",)}
    contenders = {"finalists": ("narrowed/1", "coarse/0")}
    assert outdone_lines(finalists, contenders) == [
        "stage finalists: coarse/2 trained again too, and outdone since"
    ]


def test_facts_keep_courses_and_what_a_stage_says_of_itself_counts():
    waiting = StudyFacts({}, courses={"a": Course(5), "b": Course(9, is_begun=False, is_cut=True)})
    begun = StudyFacts({}, courses={"b": Course(9, redrawn=(4,))}, contenders={"b": ("a/1",)})
    for facts in (waiting, begun):
        assert StudyFacts.from_json(facts.to_json()) == facts
    for order in ([waiting, begun], [begun, waiting]):
        assert merged(order).courses == {"a": Course(5), "b": Course(9, redrawn=(4,))}
