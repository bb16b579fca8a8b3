"""Concepts from a file of lists: what is stored, what is set aside, what is reported."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miacap.concepts import (
    ConceptSettings,
    ConceptSource,
    ConceptVocabulary,
    ListSettings,
    lists_table,
    read,
    suspicion,
    train,
)
from miacap.concepts.from_lists import scores_of
from miacap.concepts.lists import PictureList
from miacap.data import Dataset, Entry
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError, SettingsError

ONCE = ListSettings(minimum_count=1)


class NoPhotos:
    def read(self, id: str) -> bytes:
        raise AssertionError(f"nothing should read the photo {id}")

    def __contains__(self, id: object) -> bool:
        return False


def dataset() -> Dataset:
    entries = (
        Entry("a", ("A dog on grass.", "The dog runs."), "train"),
        Entry("b", ("A red ball.",), "train"),
        Entry("c", ("A dog and a ball.",), "dev"),
        Entry("d", (), "test"),
    )
    return Dataset("toy", entries, NoPhotos())


LISTS = {
    "a": ["grass", "dog", "wolf", "runs"],
    "b": ["ball", "dog"],
    "c": ["ball", "hot dog", "grass"],
    "d": ["red"],
}


def wrote(folder: Path, lists: object) -> Path:
    path = folder / "mine.json"
    path.write_text(json.dumps(lists))
    return path


def test_scores_give_the_lists_back(tmp_path: Path) -> None:
    found = read(wrote(tmp_path, LISTS), dataset(), tmp_path / "c", ONCE, quiet=True)
    store = FeatureStore.open(tmp_path / "c" / "scores")
    assert store.kind == "concepts" and store.manifest.extractor is None
    # dog is listed for two training pictures, the next three for one, red for none.
    assert store.manifest.words == ("dog", "ball", "grass", "runs", "red")
    expected = {
        "a": {"grass": 1.0, "dog": 1 / 2, "runs": 1 / 4},  # wolf keeps its third rank
        "b": {"ball": 1.0, "dog": 1 / 2},
        "c": {"ball": 1.0, "grass": 1 / 3},
        "d": {"red": 1.0},
    }
    assert store.names == tuple(expected)
    for name, listed in expected.items():
        row = dict(zip(store.manifest.words, store.rows(name).tolist(), strict=True))
        assert {word: score for word, score in row.items() if score} == pytest.approx(listed)
    told = ConceptSource.of(tmp_path / "c")
    assert told is not None and told.words == store.manifest.words
    assert (told.scores, told.file) == ("ranks", "mine.json")
    assert len(told.checksum) == 64
    assert found.report["words left out"] == {
        "no caption word": {"words": 2, "mentions": 2},
        "beyond the limit": {"words": 0, "mentions": 0},
    }


def test_a_long_list_keeps_its_order_in_single_precision() -> None:
    words = [f"w{place}" for place in range(5000)]
    for probabilities in (None, tuple([0.25] * 5000)):
        scores = scores_of(PictureList(tuple(words), probabilities, ""), ConceptVocabulary(words))
        assert scores.dtype == torch.float32 and bool((scores > 0).all())
        assert bool((scores[1:] < scores[:-1]).all())


def test_probabilities_are_kept_and_ties_follow_the_list(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "concepts": ["dog", "runs", "grass"], "probabilities": [0.5, 0.5, 0.75]},
        {"id": "b", "concepts": ["ball"], "probabilities": [1]},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    read(path, dataset(), tmp_path / "c", ONCE, quiet=True)
    store = FeatureStore.open(tmp_path / "c" / "scores")
    row = dict(zip(store.manifest.words, store.rows("a").tolist(), strict=True))
    assert row["grass"] == 0.75 and row["dog"] == 0.5
    assert row["runs"] == pytest.approx(0.5) and row["runs"] < row["dog"]
    told = ConceptSource.of(tmp_path / "c")
    assert told is not None and told.scores == "probabilities"


def test_what_is_left_out_is_counted_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        '{"a": ["dog"],\n"z": ["dog"],\n"a": ["ball"],\n"b": ["wolf", "cat"],\n"c": "ball"}'
    )
    found = read(path, dataset(), tmp_path / "c", ONCE, quiet=True)
    said = {
        what: [(one.id, one.reason) for one in items] for what, items in found.set_aside.items()
    }
    assert said == {
        "pictures without concepts": [
            ("b", "'b': none of its words is a concept"),
            ("c", "'c': concepts are a list of words, not str"),
            ("d", "'d' has no list"),
        ],
        "lists of unknown pictures": [("z", "'z' is no picture of toy")],
        "second lists of a picture": [("a", f"'a' was already listed at {path}, line 1")],
        "lists that cannot be read": [("c", "'c': concepts are a list of words, not str")],
    }
    assert found.set_aside["lists of unknown pictures"][0].where == f"{path}, line 2"
    assert {what: found.report[what] for what in said} == {
        what: len(items) for what, items in said.items()
    }
    store = FeatureStore.open(tmp_path / "c" / "scores")
    assert store.names == ("a",)
    assert store.set_aside["b"] == "mine.json, line 4: 'b': none of its words is a concept"
    assert found.report == json.loads((tmp_path / "c" / "report.json").read_text())


def test_the_vocabulary_is_limited_and_says_so(tmp_path: Path) -> None:
    wanted = replace(ONCE, words=2)
    found = read(wrote(tmp_path, LISTS), dataset(), tmp_path / "c", wanted, quiet=True)
    assert FeatureStore.open(tmp_path / "c" / "scores").manifest.words == ("dog", "ball")
    assert found.report["words left out"]["beyond the limit"] == {"words": 3, "mentions": 4}
    assert "left out, beyond the limit: 3 words (40.0% of all that is listed)" in lists_table(
        found.report
    )
    assert found.report["pictures without concepts"] == 1  # d lists nothing but red
    often = read(wrote(tmp_path, LISTS), dataset(), tmp_path / "d",
                 ListSettings(minimum_count=2), quiet=True)  # fmt: skip
    assert often.report["words"] == 1  # dog alone stands twice in the training captions


def test_the_report_holds_the_lists_against_the_captions(tmp_path: Path) -> None:
    found = read(wrote(tmp_path, LISTS), dataset(), tmp_path / "c", ONCE, quiet=True)
    splits = found.report["splits"]
    # a: grass, dog, runs of three named; b: ball of (ball, dog), which names ball and red.
    assert splits["train"]["scores"] == pytest.approx({"P@10": (1 + 0.5) / 2, "R@10": 0.75})
    # c lists ball and grass, and names dog and ball.
    assert splits["dev"]["scores"] == pytest.approx({"P@10": 0.5, "R@10": 0.5})
    # All five concepts for everybody: a names three of them, b two, c two.
    assert splits["train"]["base rate"] == pytest.approx({"P@10": (3 + 2) / 10, "R@10": 1.0})
    assert splits["dev"]["base rate"]["P@10"] == pytest.approx(2 / 5)
    assert splits["train"]["concepts a picture"] == {"least": 2, "median": 2.5, "most": 3}
    assert "scores" not in splits["test"]
    lines = lists_table(found.report).splitlines()
    assert lines[0] == "5 concepts of mine.json, ranked by their order, for 4 pictures"
    assert lines[1] == "left out, no caption word: 2 words (20.0% of all that is listed)"
    assert lines[2].split() == [
        "split", "pictures", "without", "least", "median", "most", "P@10", "R@10",
    ]  # fmt: skip
    assert lines[3].split() == ["train", "2", "0", "2", "2.5", "3", "0.750", "0.750"]
    assert lines[4].split() == ["base", "rate", "0.500", "1.000"]
    assert lines[-1].split() == ["test", "1", "0", "1", "1", "1", "-", "-"]
    assert len({len(line) for line in lines[2:]}) == 1


def test_lists_that_know_the_training_captions_are_doubted(tmp_path: Path) -> None:
    def world(train: int, dev: int, known: int) -> object:
        """Pictures of a dog; the lists of ``known`` training pictures say nothing else."""
        entries = [Entry(f"{i}", ("A dog on grass.",), "train" if i < train else "dev")
                   for i in range(train + dev)]  # fmt: skip
        lists = {e.id: ["dog"] if int(e.id) < known else ["dog", "ball"] for e in entries}
        entries.append(Entry("ball", ("A ball.",), "train"))
        place = tmp_path / f"{train}-{dev}-{known}"
        path = wrote(tmp_path, {**lists, "ball": ["ball"]})
        data = Dataset("toy", tuple(entries), NoPhotos())
        return suspicion(read(path, data, place, ONCE, quiet=True).report)

    doubt = world(120, 110, known=60)
    assert isinstance(doubt, str)
    assert doubt.startswith("P@10 is 0.752 on train and 0.500 on dev: whatever made these lists")
    assert world(120, 110, known=10) is None  # a little better, as chance would have it
    assert world(120, 99, known=60) is None  # too few to tell
    assert world(120, 0, known=60) is None


def test_lists_of_other_pictures_and_other_words(tmp_path: Path) -> None:
    other = wrote(tmp_path, {"COCO_000.jpg": ["dog"], "COCO_001.jpg": ["dog"]})
    with pytest.raises(DataError, match=r"none of its 2 pictures is in toy; it calls them like "
                       r"'COCO_000\.jpg', the data like 'a'\. Write the data's ids"):  # fmt: skip
        read(other, dataset(), tmp_path / "c", ONCE, quiet=True)
    with pytest.raises(DataError, match="none of its 2 words occurs 1 time in the training"):
        read(wrote(tmp_path, {"a": ["hund", "ball?"]}), dataset(), tmp_path / "c", ONCE)
    silent = replace(dataset(), pictures=(Entry("a", (), "train"),))
    with pytest.raises(DataError, match="the training split has no captions"):
        read(wrote(tmp_path, LISTS), silent, tmp_path / "c", ONCE)
    assert not (tmp_path / "c").exists()
    with pytest.raises(SettingsError, match="words is at least 1, not 0"):
        ListSettings(words=0)


def test_a_folder_is_used_again_and_never_for_something_else(tmp_path: Path, world) -> None:
    path, place = wrote(tmp_path, LISTS), tmp_path / "c"
    first = read(path, dataset(), place, ONCE, quiet=True)
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    assert read(path, dataset(), place, ONCE, quiet=True) == first
    assert before == {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match="begun with words=5000, now 2"):
        read(path, dataset(), place, replace(ONCE, words=2), quiet=True)
    with pytest.raises(RunError, match=r"holds what `miacap concepts read` made; choose"):
        train(*world, place, ConceptSettings(minimum_count=1), quiet=True)
    path = wrote(tmp_path, {**LISTS, "d": ["ball"]})
    with pytest.raises(RunError, match="begun with other lists, captions or splits"):
        read(path, dataset(), place, ONCE, quiet=True)


@pytest.mark.parametrize("place", ["_store", "_report"])
def test_what_is_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from miacap.concepts import from_lists

    path = wrote(tmp_path, LISTS)
    whole = read(path, dataset(), tmp_path / "a", ONCE, quiet=True)

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(from_lists, place, strike)
        with pytest.raises(KeyboardInterrupt):
            read(path, dataset(), tmp_path / "b", ONCE, quiet=True)
    assert not (tmp_path / "b" / "report.json").exists()
    assert read(path, dataset(), tmp_path / "b", ONCE, quiet=True) == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this miacap reads 1; install a newer"),
        ({"words": "dog"}, "words is absent or of the wrong type; copy the file again"),
        ({"scores": "guesses"}, "scores is absent or of the wrong type"),
        ({"words": ["dog", 3]}, "words is absent or of the wrong type"),
        ({"file_sha256": None}, "file_sha256 is absent or of the wrong type"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, change: object, message: str) -> None:
    read(wrote(tmp_path, LISTS), dataset(), tmp_path / "c", ONCE, quiet=True)
    file = tmp_path / "c" / "concepts.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(RunError, match=rf"concepts\.json: {message}"):
        ConceptSource.of(tmp_path / "c")
