"""Pictures that are in two splits are found and said."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.data import Dataset, Entry, NoPhotos
from miacap.data.leaks import Leak, find

FIVE = ("a dog runs", "the dog", "dog", "a brown dog", "it runs")


def dataset(*entries: tuple[str, str, tuple[str, ...]]) -> Dataset:
    return Dataset("d", tuple(Entry(id, captions, split) for id, split, captions in entries),
                   NoPhotos())  # fmt: skip


def test_the_same_photo_in_two_splits() -> None:
    data = dataset(*((f"{split}{i}", split, ()) for split in ("test", "train") for i in range(6)))
    sums = {entry.id: f"sum {entry.id[-1]}" for entry in data} | {"test0": "x", "train5": "y"}
    (leak,) = find(data, sums)
    pairs = tuple((f"train{i}", f"test{i}") for i in (1, 2, 3))
    assert leak == Leak(("train", "test"), "photo", 4, pairs)
    assert leak.told == (
        "4 pictures of test are the same photos as pictures of train: 'test1' and 'train1', "
        "'test2' and 'train2', 'test3' and 'train3' and 1 more; scores on test may be too good. "
        "Leave them out of one of the two."
    )


def test_the_same_captions_in_two_splits() -> None:
    data = dataset(("a", "train", FIVE), ("b", "dev", FIVE[::-1]), ("c", "test", FIVE[:4]))
    (leak,) = find(data, {})
    assert leak == Leak(("train", "dev"), "captions", 1, (("a", "b"),))
    assert leak.told.startswith("1 picture of dev has the very captions of a picture of train: 'b'")
    # Told once: by the photo, where that is known.
    assert [one.kind for one in find(data, {"a": "s", "b": "s"})] == ["photo"]
    assert [one.kind for one in find(data, {"a": "s", "b": "t"})] == ["captions"]


@pytest.mark.parametrize(("caption", "found"), [("a dog runs", 0), ("a dog runs on the grass", 1)])
def test_an_only_caption_counts_where_it_is_long(caption: str, found: int) -> None:
    assert len(find(dataset(("a", "train", (caption,)), ("b", "test", (caption,))), {})) == found


def test_captions_are_compared_by_their_tokens() -> None:
    other = ("A dog  runs .", "The dog!", "dog", "a brown dog", "It runs.", "...")
    data = dataset(("a", "train", FIVE), ("b", "dev", other), ("c", "test", ("...",)),
                   ("d", "train", ("!",)))  # fmt: skip
    (leak,) = find(data, {})
    assert leak == Leak(("train", "dev"), "captions", 1, (("a", "b"),))


@pytest.mark.parametrize("name", ["dog.jpg", "8.jpg", "COCO_000000391895.jpg", "img7_b.jpg"])
def test_names_count_where_checksums_are_not_known(name: str) -> None:
    one, other = f"train/{name}", f"val/{name}"
    data = dataset((one, "train", ()), (other, "dev", ()), ("2.jpg", "test", ()))
    (leak,) = find(data, {})
    assert leak == Leak(("train", "dev"), "name", 1, ((one, other),))
    assert find(data, {one: "s", other: "t"}) == []


@pytest.mark.parametrize("name", ["{}.jpg", "img_{:05}.jpg", "0000/{}", "a{}b.png", "{}"])
def test_names_that_begin_anew_in_each_folder_say_nothing(name: str) -> None:
    """As Hugging Face's sets have them; a folder that counts on is told by its gaps."""
    rows = [(f"train/{name.format(n)}", "train", ()) for n in range(1, 9)]
    assert find(dataset(*rows, *((f"test/{name.format(n)}", "test", ()) for n in (0, 1))), {}) == []
    (leak,) = find(dataset(*rows, *((f"test/{name.format(n)}", "test", ()) for n in (3, 6))), {})
    assert (leak.kind, leak.pictures) == ("name", 2)
    (leak,) = find(dataset(*rows, *((f"test/{name.format(n)}", "test", ()) for n in (2, 3))), {})
    assert (leak.kind, leak.pictures) == ("name", 2)


def test_a_split_that_is_asked_for_and_none() -> None:
    rows = [(split, split, FIVE) for split in ("own", "test", "dev", "none", "train")]
    pairs = [leak.splits for leak in find(dataset(*rows), {})]
    assert pairs == [
        ("train", "dev"), ("train", "test"), ("train", "own"),
        ("dev", "test"), ("dev", "own"), ("test", "own"),
    ]  # fmt: skip
    found = find(dataset(*rows), {}, "dev")
    assert [leak.splits for leak in found] == [("train", "dev"), ("dev", "test"), ("dev", "own")]


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        st.tuples(st.sampled_from(["train", "dev", "test"]), st.sampled_from("xyz")),
    )
)
def test_photos_are_counted_as_plain_loops_count_them(
    pictures: Mapping[str, tuple[str, str]],
) -> None:
    data = dataset(*((id, split, ()) for id, (split, _) in pictures.items()))
    expected = {}
    for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
        sums = {own for split, own in pictures.values() if split == first}
        count = sum(split == second and own in sums for split, own in pictures.values())
        if count:
            expected[first, second] = count
    found = find(data, {id: own for id, (_, own) in pictures.items()})
    assert {leak.splits: leak.pictures for leak in found} == expected
