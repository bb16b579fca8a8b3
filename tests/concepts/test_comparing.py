"""Sources side by side: the same words and pictures for all, by hand and as plain loops."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from miacap.cli.application import app
from miacap.concepts import ConceptFolder, compare, comparing, lines, read
from miacap.concepts.comparing import measure
from miacap.concepts.evaluation import measure as measure_all
from miacap.concepts.settings import ListSettings
from miacap.data import Dataset, Entry, NoPhotos
from miacap.data import read as read_data
from miacap.errors import DataError

CAPTIONS = {
    "a.jpg": ("a dog on grass", "train"), "b.jpg": ("a cat and a dog", "train"),
    "c.jpg": ("grass", "train"), "d.jpg": ("a cat on grass", "dev"), "e.jpg": ("a ball", "test"),
}  # fmt: skip


class Nothing:
    def read(self, id: str) -> bytes:
        raise AssertionError

    def __contains__(self, id: object) -> bool:
        return False


DATA = Dataset(
    "small",
    tuple(Entry(id, (text,), split) for id, (text, split) in CAPTIONS.items()),
    Nothing(), (), (),
)  # fmt: skip


def folder(path: Path, lists: dict[str, list[str]]) -> ConceptFolder:
    file = path.with_suffix(".json")
    file.write_text(json.dumps(lists))
    read(file, DATA, path, ListSettings(minimum_count=1), quiet=True)
    return ConceptFolder.open(path)


@pytest.fixture
def two(tmp_path: Path) -> list[ConceptFolder]:
    one = {"a.jpg": ["dog", "grass"], "b.jpg": ["dog"], "c.jpg": ["grass"], "d.jpg": ["cat"]}
    other = {"a.jpg": ["cat"], "b.jpg": ["cat", "dog"], "c.jpg": ["cat"], "d.jpg": ["dog", "cat"]}
    return [folder(tmp_path / "one", one), folder(tmp_path / "other", other)]


def test_by_hand(two: list[ConceptFolder]) -> None:
    found = compare(two, DATA, ks=(1, 2))
    assert found["words"] == 3 and set(found["splits"]) == {"train", "dev"}
    train, dev = found["splits"]["train"], found["splits"]["dev"]
    assert (train["pictures"], dev["pictures"]) == (3, 1)  # the last has no list anywhere
    one, other = train["sources"]
    # dog is in a and b, grass in a and c: found. cat is in b alone: given to none.
    assert one["mAP"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert (one["P@1"], one["R@1"]) == pytest.approx((1, (1 / 2 + 1 / 2 + 1) / 3))
    assert (one["P@2"], one["R@2"]) == pytest.approx((1, (1 + 1 / 2 + 1) / 3))
    # cat is given to all three alike, dog to b alone, grass to none.
    assert other["mAP"] == pytest.approx((1 / 3 + (1 + 2 / 3) / 2 + 2 / 3) / 3)
    assert (other["P@1"], other["R@2"]) == pytest.approx((1 / 3, 1 / 3))
    assert dev["sources"][1]["P@2"] == 0.5 and dev["sources"][1]["R@2"] == 0.5
    # dog and grass are named by two training captions each, cat by one.
    assert train["base rate"]["mAP"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 8), st.integers(1, 9))
def test_plain_loops(seed: int, pictures: int, words: int, k: int) -> None:
    torch.manual_seed(seed)
    scores = torch.rand(pictures, words) * (torch.rand(pictures, words) > 0.5)
    targets = torch.rand(pictures, words) > 0.6
    precisions, recalls = [], []
    for row, said in zip(scores.tolist(), targets.tolist(), strict=True):
        if not any(said):
            continue
        listed = sorted((i for i in range(words) if row[i] > 0), key=lambda i: (-row[i], i))[:k]
        hits = sum(said[i] for i in listed)
        precisions.append(hits / max(1, len(listed)))
        recalls.append(hits / sum(said))
    found = measure(scores, targets, (k,))
    wanted = [sum(x) / len(x) if x else 0.0 for x in (precisions, recalls)]
    assert [found[f"P@{k}"], found[f"R@{k}"]] == pytest.approx(wanted)
    # Where every word has a score, these are the numbers of the other reports.
    scores += 0.01
    both = measure(scores, targets, (min(k, words),)), measure_all(scores, targets, (k,))
    assert both[0] == pytest.approx(both[1])


def test_pictures_are_read_in_pieces(
    two: list[ConceptFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few pictures and words are in memory at once, the numbers are the same."""
    torch.manual_seed(0)
    scores = torch.rand(11, 7).mul(5).round() / 5
    targets = torch.rand(11, 7) > 0.6
    targets[:, 2], targets[4] = False, False
    whole, folders = measure(scores, targets, (2, 9)), compare(two, DATA)
    taken = []
    gather = torch.Tensor.gather

    def noted(self: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:
        taken.append(len(self))
        return gather(self, dim, index)

    monkeypatch.setattr(torch.Tensor, "gather", noted)
    for at_once, held in ((1, 1), (3, 25), (4, 11)):
        monkeypatch.setattr(comparing, "_AT_ONCE", at_once)
        monkeypatch.setattr(comparing, "_HELD", held)
        assert measure(scores, targets, (2, 9)) == whole
        assert compare(two, DATA) == folders
        assert max(taken) <= at_once
        taken.clear()


def test_folders_that_share_no_picture(tmp_path: Path) -> None:
    some = [
        folder(tmp_path / "one", {"a.jpg": ["dog"]}),
        folder(tmp_path / "b", {"b.jpg": ["dog"]}),
    ]
    with pytest.raises(DataError, match=r"no training picture with captions has concepts in .*one"):
        compare(some, DATA)


def test_the_command(two: list[ConceptFolder], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [
        json.dumps({"file_name": id, "caption": text, "split": split})
        for id, (text, split) in CAPTIONS.items()
    ]
    (data / "metadata.jsonl").write_text("\n".join(rows) + "\n")  # and no photo
    names = [str(one.folder) for one in two]
    file = tmp_path / "numbers.json"
    done = CliRunner().invoke(app, ["concepts", "compare", *names, str(data), "--json", str(file)])
    assert done.exit_code == 0, (done.output, done.exception)
    report = compare(two, read_data(data, photos=NoPhotos()))
    assert json.loads(file.read_text()) == report
    assert done.output.strip() == lines(report).strip()
    for name in names:
        assert name in done.output
    assert "base rate" in done.output and "P@49" in done.output
    joined = ["concepts", "join", *names, str(data), "-o", str(tmp_path / "j"), "--quiet"]
    done = CliRunner().invoke(app, [*joined, "--set", "method=ranks"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert ConceptFolder.open(tmp_path / "j").source.method == "ranks"


def test_long_names_of_folders_stand_above_their_numbers() -> None:
    names = ("mAP", "P@10", "R@10", "P@49", "R@49")
    base = dict.fromkeys(names, 0.25)
    sources = [{"folder": name, **dict.fromkeys(names, 0.5)} for name in ("c" * 24, "c" * 25)]
    row = {"pictures": 1000, "base rate": base, "sources": sources}
    told = lines({"words": 3, "splits": {"dev": row}}).splitlines()
    assert told[1:] == [
        f"{'split':<26} pictures      mAP     P@10     R@10     P@49     R@49",
        f"{'dev':<26}     1000",
        f"  {'base rate':<24}{'':9}" + "    0.250" * 5,
        f"  {'c' * 24}{'':9}" + "    0.500" * 5,
        f"  {'c' * 25}",
        f"  {'':<24}{'':9}" + "    0.500" * 5,
    ]
    assert max(map(len, told)) == 80
