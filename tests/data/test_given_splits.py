"""Splits that a person gives for data that has none or too few: a table of ids, or a draw."""

from pathlib import Path

import pytest

from miacap.data import NoPhotos, read
from miacap.data.splits import draw_split
from miacap.errors import DataError


def captions(folder: Path, names: list[str], split: str = "train") -> Path:
    path = folder / "captions.csv"
    rows = "".join(f"{name},A thing.,{split}\n" for name in names)
    path.write_text(f"image,caption,split\n{rows}")
    return path


def splits(path: Path, given: object) -> dict[str, str]:
    return {e.id: e.split for e in read(path, photos=NoPhotos(), splits=given)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["id,split\na,train\nb.jpg,val\n", "split\timage\ntrain\ta.jpg\ndev\tb\n"]
)
def test_a_table_of_ids_and_splits(text: str, tmp_path: Path) -> None:
    path = captions(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    table = tmp_path / "splits.txt"
    table.write_text(text)
    assert splits(path, str(table)) == {"a.jpg": "train", "b.jpg": "dev", "c.jpg": "none"}
    data = read(path, photos=NoPhotos(), splits=table)
    assert [source.name for source in data.sources] == ["captions.csv", "splits.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,train\n",
            r"no columns 'id' and 'split' \(found 'a', 'train'\); write a first",
        ),
        ("", "no columns 'id' and 'split'"),
        ("id,split\n", "no picture has a split here"),
        ("id,split\na.jpg,\n", "line 2: no id with its split"),
        ("id,split\na.jpg,dev\na.jpg,test\n", "line 3: a.jpg is in two splits, dev and test"),
        (
            "id,split\nx,dev\ny,dev\n",
            r"none of its 2 ids is a picture of \S+: the first is 'x', and pictures are .* 'a.jpg'",
        ),
    ],
)
def test_tables_that_do_not_say_it(text: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "splits.csv.txt"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        splits(captions(tmp_path, ["a.jpg"]), table)


NAMES = [f"photo{n}.jpg" for n in range(40)]


def test_missing_splits_are_drawn_from_train(tmp_path: Path) -> None:
    path = captions(tmp_path, NAMES)
    assert splits(path, "draw") == {name: draw_split(name) for name in NAMES}
    # A split that the data has is left as it is: photo5 would be drawn for test.
    with path.open("a") as file:
        file.write("given.jpg,A thing.,test\n")
    found = splits(path, "draw")
    assert found["photo33.jpg"] == "dev" and found["photo5.jpg"] == "train"
    assert [name for name, split in found.items() if split == "test"] == ["given.jpg"]


def test_what_was_drawn_is_among_the_sources(tmp_path: Path) -> None:
    path = captions(tmp_path, NAMES)
    first = read(path, photos=NoPhotos(), splits="draw").sources[-1]
    assert first.name == "dev and test drawn from train" and first.bytes > 0
    assert read(path, photos=NoPhotos(), splits="draw").sources[-1] == first
    path = captions(tmp_path, NAMES[:10])
    assert read(path, photos=NoPhotos(), splits="draw").sources[-1].sha256 != first.sha256


def test_where_nothing_can_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no picture is in train to draw test from. Known: dev"):
        splits(captions(tmp_path, NAMES, "dev"), "draw")
    with pytest.raises(DataError, match="has both dev and test"):
        path = captions(tmp_path, NAMES, "dev")
        path.write_text(path.read_text() + "t.jpg,A thing.,test\n")
        splits(path, "draw")


def test_a_folder_that_is_called_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "draw").mkdir()
    (tmp_path / "draw" / "dev.txt").write_text("photo1.jpg\n")
    assert splits(captions(tmp_path, NAMES[:2]), "draw") == {
        "photo0.jpg": "none", "photo1.jpg": "dev",
    }  # fmt: skip


def test_the_message_names_the_way_out(tmp_path: Path) -> None:
    data = read(captions(tmp_path, NAMES), photos=NoPhotos())
    with pytest.raises(DataError, match=r"--splits FILE \(lines id,split\)\. --splits draw takes"):
        data.split("dev")
