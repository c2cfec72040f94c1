import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cv.data.splitting import assign, sample
from automl_cv.errors import UserError

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
shares = st.sampled_from(
    [SHARES, {"train": 0.7, "validation": 0.15, "test": 0.15}, {"train": 0.8, "validation": 0.2}]
)


def unique(labels):
    """Return content hashes that differ from image to image."""
    return [f"{number:04d}" for number in range(len(labels))]


@pytest.mark.slow
@given(
    sizes=st.lists(st.integers(7, 60), min_size=2, max_size=6),
    shares=shares,
    seed=st.integers(0, 2**31),
)
def test_every_class_is_within_one_image_of_its_share(sizes, shares, seed):
    labels = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    chosen = assign(labels, unique(labels), [None] * len(labels), shares, seed)
    counts = Counter(zip(labels, chosen, strict=True))
    for number, size in enumerate(sizes):
        for split, share in shares.items():
            assert abs(counts[f"class {number}", split] - share * size) < 1 + 1e-9
    totals = Counter(chosen)
    for split, share in shares.items():
        assert abs(totals[split] - share * len(labels)) <= len(sizes)


images = st.lists(
    st.tuples(
        st.sampled_from(["cat", "dog"]),
        st.integers(0, 40),
        st.one_of(st.none(), st.integers(0, 20)),
    ),
    min_size=40,
    max_size=120,
)


@pytest.mark.slow
@given(images=images, seed=st.integers(0, 100), data=st.data())
def test_copies_and_groups_never_straddle_whatever_the_order(images, seed, data):
    def chosen(rows):
        labels = [label for label, _, _ in rows]
        contents = [f"hash {content}" for _, content, _ in rows]
        groups = [None if group is None else f"group {group}" for _, _, group in rows]
        return assign(labels, contents, groups, SHARES, seed)

    try:
        first = chosen(images)
    except UserError:
        return  # ties joined everything; refused rather than split badly
    for tie in (1, 2):
        splits = {}
        for row, split in zip(images, first, strict=True):
            if row[tie] is not None:
                assert splits.setdefault(row[tie], split) == split
    shuffled = data.draw(st.permutations(images))
    second = chosen(shuffled)
    assert Counter(zip(images, first, strict=True)) == Counter(zip(shuffled, second, strict=True))


def test_the_seed_changes_the_draw_and_nothing_else_does():
    labels = ["cat", "dog"] * 30
    first = assign(labels, unique(labels), [None] * 60, SHARES, 0)
    assert first == assign(labels, unique(labels), [None] * 60, SHARES, 0)
    assert first != assign(labels, unique(labels), [None] * 60, SHARES, 1)


def test_the_draw_is_fixed_for_good():
    # A split that moved would make old results incomparable with new ones.
    labels = ["cat"] * 10 + ["dog"] * 5
    chosen = assign(labels, unique(labels), [None] * 15, SHARES, 7)
    assert "".join(split[:2] for split in chosen) == "vatetrvatetrtrtrtrtrtrtrtrteva"


def test_three_images_are_enough_for_three_splits():
    labels = ["cat"] * 3 + ["dog"] * 30
    chosen = assign(labels, unique(labels), [None] * 33, SHARES, 0)
    assert sorted(chosen[:3]) == ["test", "train", "validation"]


def test_a_class_mixed_into_another_class_s_groups_is_stratified_too():
    contents = [f"{number:03d}" for number in range(100)]
    labels = ["cat"] * 100 + ["dog"] * 100 + ["dog"] * 100
    chosen = assign(labels, contents * 2 + [f"x{c}" for c in contents], [None] * 300, SHARES, 0)
    counts = Counter(zip(labels, chosen, strict=True))
    for label, size in (("cat", 100), ("dog", 200)):
        for split, share in SHARES.items():
            assert abs(counts[label, split] - share * size) <= 1


def test_large_groups_come_near_the_shares():
    draw = random.Random(0)
    labels = [draw.choice(["common"] * 9 + ["rare"]) for _ in range(1000)]
    groups = [f"patient {draw.randrange(80)}" for _ in labels]
    counts = Counter(zip(labels, assign(labels, unique(labels), groups, SHARES, 0), strict=True))
    for label, size in Counter(labels).items():
        for split, share in SHARES.items():
            assert abs(counts[label, split] / size - share) < 0.02


def test_too_few_images():
    labels = ["cat"] * 30 + ["dog"] * 2
    with pytest.raises(UserError) as caught:
        assign(labels, unique(labels), [None] * 32, SHARES, 0)
    assert str(caught.value) == (
        "class 'dog' has 2 images; 3 are needed, one each for train, validation, test: "
        "add images or leave the class out"
    )


def test_too_few_groups():
    labels = ["cat"] * 30 + ["dog"] * 9
    groups = [None] * 30 + ["rex"] * 5 + ["lassie"] * 4
    with pytest.raises(UserError, match=r"'dog' has 9 images in 2 groups \(copies of an image"):
        assign(labels, unique(labels), groups, SHARES, 0)


def test_groups_that_leave_a_class_out():
    # Three groups of two classes each and two splits: a triangle has no two colours.
    labels = ["cat", "dog", "dog", "fox", "fox", "cat"]
    groups = ["a", "a", "b", "b", "c", "c"]
    with pytest.raises(UserError, match="can't be in every split: its groups hold other classes"):
        assign(labels, unique(labels), groups, {"train": 0.5, "validation": 0.5}, 0)


@pytest.mark.slow
@given(images=images, seed=st.integers(0, 100), data=st.data())
def test_a_sample_is_stratified_by_content_and_parts_no_group(images, seed, data):
    def chosen(rows, share, least=3):
        labels = [label for label, _, _ in rows]
        contents = [f"hash {content}" for _, content, _ in rows]
        groups = [None if group is None else f"group {group}" for _, _, group in rows]
        return sample(labels, contents, groups, share, seed, least=least)

    places = chosen(images, 0.3)
    kept = [images[place] for place in places]
    shuffled = data.draw(st.permutations(images))
    assert sorted(map(str, kept)) == sorted(
        str(shuffled[place]) for place in chosen(shuffled, 0.3)
    ), "the order of rows has no say"
    left = [one for place, one in enumerate(images) if place not in places]
    for field in (1, 2):  # copies, groups
        together = {one[field] for one in kept} & {one[field] for one in left}
        assert together <= {None}
    sizes, counts = (Counter(one[0] for one in rows) for rows in (images, kept))
    assert all(counts[label] >= round(0.3 * size) for label, size in sizes.items())


@pytest.mark.slow
@given(sizes=st.lists(st.integers(4, 60), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_a_larger_sample_holds_the_smaller_one(sizes, seed):
    labels = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    alone = [None] * len(labels)
    small, large = (
        sample(labels, unique(labels), alone, share, seed, least=2) for share in (0.2, 0.5)
    )
    assert set(small) <= set(large)
    for number, size in enumerate(sizes):
        own = sum(labels[place] == f"class {number}" for place in small)
        assert own == max(round(0.2 * size), 2)
