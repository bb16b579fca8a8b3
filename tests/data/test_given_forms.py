"""Features of every form that people have come out as they were written."""

import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.data import Conversion, Dataset, Entry, FeatureStore, Given, NoPhotos, convert
from miacap.data.given.forms import FORMS, form_of
from miacap.data.given.ids import Matching
from miacap.errors import DataError, MissingExtra, RunError, SettingsError, UnknownName

from .written_features import CUT_TO_TWO, WIDTH, WRITERS, Made, Written, bottom_up_row, pictures


def dataset(made: Sequence[Made], more: Sequence[str] = ()) -> Dataset:
    ids = [*(f"{p.name}.jpg" for p in made), *more]
    return Dataset("mine", tuple(Entry(id, ("a dog",), "train") for id in ids), NoPhotos())


def converted(written: Written, folder: Path, data: Dataset | None, **more: object) -> Conversion:
    return convert(written.files, folder, data, quiet=True, **written.beside, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_form_comes_out_as_it_was_written(writer: str, tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS[writer](tmp_path, made)
    # One picture of the files is not in DATA, one of DATA is not in the files.
    done = converted(written, tmp_path / "f", dataset(made[:3], ["other.jpg"]))
    assert (done.unknown, done.missing, done.bad, done.repeated) == (1, ("other.jpg",), {}, 0)
    store = FeatureStore.open(tmp_path / "f")
    assert set(store.names) == {f"{p.name}.jpg" for p in made[:3]}
    assert isinstance(store.manifest.preprocessing, Given)
    for p in made[:3]:
        k = 2 if writer in CUT_TO_TWO else len(p.features)
        rows = store.rows(f"{p.name}.jpg").numpy()
        assert np.array_equal(rows[:, :WIDTH], p.features[:k].astype(np.float16))
        boxes = store.boxes(f"{p.name}.jpg")
        boxed = written.boxed
        assert (boxes is not None) == done.boxes == boxed
        if boxes is not None:
            close = 1e-3 if writer == "uniter" else 1e-6  # in half precision there
            assert np.abs(boxes.numpy() - p.relative[:k]).max() < close


@pytest.mark.parametrize("writer", WRITERS)
def test_a_form_is_told_by_its_content_alone(writer: str, tmp_path: Path) -> None:
    written = WRITERS[writer](tmp_path, pictures())
    for file in written.files:
        form = form_of(file)
        moved = file.rename(file.with_name("x" + file.suffix * (file.suffix == ".npz")))
        assert form_of(moved) is form
        assert [name for name, one in FORMS.items() if one is form] != []
        moved.rename(file)


def test_the_names_on_the_command_line_are_those_of_the_forms() -> None:
    from miacap.cli.features_read import Form

    assert {form.value for form in Form} == set(FORMS)


def test_hdf5_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = WRITERS["vl_t5"](tmp_path, pictures())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"features from HDF5 needs the extra \[hdf5\]: pip in"):
        converted(written, tmp_path / "f", None)


def test_without_a_dataset_everything_stays_under_its_own_id(tmp_path: Path) -> None:
    made = pictures()
    done = converted(WRITERS["bottom_up"](tmp_path, made), tmp_path / "f", None, name="bu")
    assert done.store.names == tuple(str(p.id) for p in made) and done.unknown == 0
    assert done.store.manifest.preprocessing == Given("bu", "bottom-up TSV")


def test_boxes_in_pixels_without_sizes_are_left_out_and_the_reason_is_told(tmp_path: Path) -> None:
    made = pictures()
    for writer in ("cocobu", "meshed_memory", "predictions"):
        root = tmp_path / writer
        root.mkdir()
        written = WRITERS[writer](root, made)
        alone = Written(written.files, {})
        done = converted(alone, root / "f", dataset(made))
        assert not done.boxes and "--sizes FILE" in done.without_boxes
        assert "or --photos FOLDER" in done.without_boxes
        assert done.store.boxes(done.store.names[0]) is None and len(done.store) == 4
        # Going on with them would give half of the pictures boxes.
        done = converted(written, root / "g", dataset(made), without_boxes=True)
        assert not done.boxes and done.without_boxes == ""


def test_the_other_folders_of_a_toolkit(tmp_path: Path) -> None:
    """Mean features alone are one region; the folder around all is refused."""
    made = pictures()
    WRITERS["cocobu"](tmp_path, made)
    done = convert([tmp_path / "cocobu_fc"], tmp_path / "f", dataset(made), quiet=True)
    mean = made[0].features.mean(0).astype(np.float16)
    assert np.array_equal(done.store.rows(f"{made[0].name}.jpg").numpy(), mean[None])
    message = r"several folders \(cocobu_att, cocobu_box, cocobu_fc\); name the one with"
    with pytest.raises(DataError, match=message):
        convert([tmp_path], tmp_path / "g", dataset(made), quiet=True)
    # Boxes of another place are named.
    (tmp_path / "cocobu_box").rename(tmp_path / "elsewhere")
    beside = {"sizes": tmp_path / "captions_val2014.json"}
    files = [tmp_path / "cocobu_att"]
    done = convert(
        files, tmp_path / "h", dataset(made), boxes=tmp_path / "elsewhere", quiet=True, **beside
    )
    assert done.boxes and len(done.store) == 4
    assert not convert(files, tmp_path / "i", dataset(made), quiet=True).boxes


def test_sizes_of_only_some_photos_set_the_others_aside(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["cocobu"](tmp_path, made)
    from .written_features import sizes

    sizes(tmp_path, [p for p in made if p.id != 7])
    done = converted(written, tmp_path / "f", dataset(made))
    assert len(done.store) == 3 and done.boxes
    assert (
        "boxes are in pixels, and the photo's size is not known" in done.bad[f"{made[2].name}.jpg"]
    )


def test_rows_written_twice_and_cut(tmp_path: Path) -> None:
    made = pictures()
    rows = [bottom_up_row(p) for p in made]
    cut = rows[0][: len(rows[0]) - 9]  # "Incorrect padding", as in test2014
    short = rows[1][: rows[1].rindex("\t") - 8]  # the features are gone
    lines = [cut, short, rows[2], rows[0], rows[2], rows[3] + "\tx"]
    (tmp_path / "t.tsv").write_text("\r\n".join(lines) + "\r\n")
    done = convert([tmp_path / "t.tsv"], tmp_path / "f", dataset(made), quiet=True)
    one, two, three, four = (f"{p.name}.jpg" for p in made)
    assert set(done.store.names) == {one, three} and done.repeated == 1
    assert np.array_equal(done.store.rows(one).numpy(), made[0].features.astype(np.float16))
    assert set(done.bad) == set(done.store.set_aside) == {two, four} and done.missing == ()
    assert "t.tsv, line 2: 5 columns, not 6" in done.store.set_aside[two]
    assert "t.tsv, line 6: 7 columns, not 6" in done.store.set_aside[four]


def bad_rows(p: Made) -> dict[str, str]:
    cells = bottom_up_row(p).split("\t")
    nan, wide = p.features.copy(), np.ones((len(p.features), WIDTH + 1), np.float32)
    nan[0, 0] = np.nan

    def row(column: int, value: str) -> str:
        return "\t".join([*cells[:column], value, *cells[column + 1 :]])

    from .written_features import b64

    return {
        "not finite": row(5, b64(nan)),
        "not finite in half": row(5, b64(p.features * 1e6)),
        "numbers, the others have": row(5, b64(wide)),
        "features are no whole base64": row(5, "!" + cells[5][1:]),
        "features have 1 byte": row(5, "AA=="),
        "boxes have": row(4, b64(p.boxes[:1])),
        "num_boxes is b'x'": row(3, "x"),
        "0 boxes; 1 to 10,000": row(3, "0"),
        "-1 boxes": row(3, "-1"),
        "99999999999999999999 boxes": row(3, "9" * 20),
        "boxes reach beyond the photo of 480 x 640; are width and height swapped": "\t".join(
            [cells[0], cells[2], cells[1], *cells[3:4], b64([[0, 0, 640, 480]] * len(p.boxes)),
             cells[5]]
        ),
        "boxes end before they begin": row(4, b64(p.boxes[:, ::-1])),
        "a photo of 0 x": row(1, "0"),
        "image_w is b'wide', not a whole number": row(1, "wide"),
    }  # fmt: skip


def test_what_is_wrong_with_a_row_is_said(tmp_path: Path) -> None:
    good = pictures((1, 2, 3, 4, 5, 6))
    bad = pictures((300,), seed=1)[0]
    square = Made(300, 640, 480, bad.features, np.float32([[1, 2, 300, 400]] * 2))
    for number, (reason, row) in enumerate(bad_rows(square).items()):
        file = tmp_path / f"{number}.tsv"
        file.write_text("\n".join([*map(bottom_up_row, good), row]))
        done = convert([file], tmp_path / f"f{number}", dataset([*good, square]), quiet=True)
        said = done.store.set_aside[f"{square.name}.jpg"]
        assert len(done.store) == 6 and reason in said and f"{number}.tsv, line 7" in said, said


def test_an_odd_width_among_the_first_does_not_decide(tmp_path: Path) -> None:
    made = pictures((1, 2, 3, 4, 5, 6))
    for place in (0, 4):
        odd = Made(9, 640, 480, np.ones((2, WIDTH + 1), np.float32), made[0].boxes)
        rows = [*made[:place], odd, *made[place:]]
        folder = tmp_path / str(place)
        folder.mkdir()
        written = WRITERS["bottom_up"](folder, rows)
        done = converted(written, folder / "f", dataset(rows))
        assert len(done.store) == 6 and done.store.manifest.width == WIDTH
        assert "regions of 7 numbers, the others have 6" in done.bad[f"{odd.name}.jpg"]


def test_a_row_that_was_mended_counts_and_a_bad_one_is_not_written_again(tmp_path: Path) -> None:
    made = pictures()
    file, rows = tmp_path / "t.tsv", [bottom_up_row(p) for p in made]
    file.write_text("\n".join([*rows[:3], rows[3][:-5]]))
    name = f"{made[3].name}.jpg"
    for _ in range(2):
        done = convert([file], tmp_path / "f", dataset(made), quiet=True)
        assert name in done.store.set_aside and len(list((tmp_path / "f").glob("shard*.json"))) == 1
    file.write_text("\n".join(rows))
    done = convert([file], tmp_path / "f", dataset(made), quiet=True)
    assert name in done.store and done.store.set_aside == {} and done.bad == {}


def test_a_stopped_conversion_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.data.store import StoreWriter

    monkeypatch.setattr("miacap.data.conversion._SHARD_BYTES", 60)
    made = pictures(tuple(range(1, 30)))
    written = WRITERS["lxmert"](tmp_path, made)
    converted(written, tmp_path / "whole", dataset(made))
    add = StoreWriter.add
    left = 7

    def stop(self: StoreWriter, *arguments: object, **more: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            left = 7
            raise KeyboardInterrupt
        add(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreWriter, "add", stop)
    stops = 0
    while True:
        try:
            converted(written, tmp_path / "parts", dataset(made))
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops >= 4
    there = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir() if p.name != ".lock"}
    here = {p.name: p.read_bytes() for p in (tmp_path / "parts").iterdir() if p.name != ".lock"}
    assert here == there and len(there) > 10


def test_other_features_under_known_names_are_refused(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["bottom_up"](tmp_path, made)
    converted(written, tmp_path / "f", dataset(made))
    WRITERS["bottom_up"](tmp_path, pictures(seed=5))
    with pytest.raises(
        RunError, match=r"holds other features of 'COCO_val2014_0+42\.jpg' than tra"
    ):
        converted(written, tmp_path / "f", dataset(made))
    with pytest.raises(RunError, match=r"made otherwise \(preprocessing\.name: 'trainval' here"):
        converted(written, tmp_path / "f", dataset(made), name="another")


def test_no_picture_of_the_data(tmp_path: Path) -> None:
    made = pictures()
    written = WRITERS["bottom_up"](tmp_path, made)
    with pytest.raises(DataError, match=r"none of the 4 pictures is in mine.*like '42', the capti"):
        converted(written, tmp_path / "f", dataset((), ["dog.jpg"]))
    assert not (tmp_path / "f").exists()


def test_what_does_not_go_together(tmp_path: Path) -> None:
    made = pictures()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one = WRITERS["bottom_up"](tmp_path / "a", made).files
    two = WRITERS["cocobu"](tmp_path / "b", made).files
    with pytest.raises(DataError, match=r"several forms \(bottom-up TSV, folder of NPZ or NPY\)"):
        convert([*one, *two], tmp_path / "f", dataset(made))
    with pytest.raises(SettingsError, match=r"--ids .*: a bottom-up TSV has no use for it"):
        convert(one, tmp_path / "f", dataset(made), ids=tmp_path / "ids")
    with pytest.raises(UnknownName, match=r"No form of features named 'hdf'.* mean 'hdf5'"):
        convert(one, tmp_path / "f", dataset(made), form="hdf")
    with pytest.raises(DataError, match="there is no such file or folder"):
        convert([tmp_path / "none"], tmp_path / "f", dataset(made))
    with pytest.raises(SettingsError, match="name at least one file"):
        convert([], tmp_path / "f", dataset(made))


SPELLINGS = (
    "391895", "000000391895", "000000391895.jpg", "COCO_val2014_000000391895",
    "COCO_val2014_000000391895.jpg", "val2014/COCO_val2014_000000391895.jpg",
    "coco_val2014_000000391895.npz", "COCO_val2014_000000391895.jpg.npz",
)  # fmt: skip


@pytest.mark.parametrize("ours", SPELLINGS[:6])
@pytest.mark.parametrize("theirs", SPELLINGS)
def test_ids_meet_in_every_spelling(ours: str, theirs: str) -> None:
    matching = Matching(["1.jpg", ours, "COCO_val2014_000000391896.jpg"])
    assert matching.find(theirs) == ours
    assert matching.find("391897") is None


def test_ids_that_only_look_alike_do_not_meet() -> None:
    matching = Matching(["VizWiz_val_00000000.jpg", "dog.jpg", "a/cat.jpg", "b/cat.jpg", "007.png"])
    assert matching.find("0") is None and matching.find("DOG") is None
    assert matching.find("cat") is None and matching.find("b/cat.jpg") == "b/cat.jpg"
    assert matching.find("7") == matching.find("007.npz") == "007.png"
    assert matching.find("photos\\dog.png") == "dog.jpg"
    assert matching.find("flickr30k_000000000007.npz") == matching.find("coco_7") == "007.png"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5, unique=True),
    st.text(max_size=8),
)
def test_matching_finds_ids_themselves_and_never_one_of_several(ids: list[str], id: str) -> None:
    matching = Matching(ids)
    found = matching.find(id)
    assert found is None or found in ids
    from miacap.tables.names import same_form

    forms = [same_form(one) for one in ids]
    for one in ids:
        if forms.count(same_form(one)) == 1:
            assert matching.find(one) == one


def test_a_damaged_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    made = pictures(tuple(range(1, 40)))
    data = gzip.compress(WRITERS["bottom_up"](tmp_path, made).files[0].read_bytes())
    file = tmp_path / "x.tsv.gz"
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"x\.tsv\.gz, after line \d+: damaged .*before is kept"):
        convert([file], tmp_path / "f", dataset(made), quiet=True)
    kept = len(FeatureStore.open(tmp_path / "f"))
    assert 0 < kept < 39
    file.write_bytes(data)
    assert len(convert([file], tmp_path / "f", dataset(made), quiet=True).store) == 39
