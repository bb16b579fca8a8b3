"""Boxes of a detector as regions: chosen, pooled, stored, rebuilt; and the real detectors."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from miacap.data import read
from miacap.data.features import Detector, parse
from miacap.data.photos import Photos
from miacap.data.store import FeatureStore
from miacap.errors import RunError, SettingsError, UnknownName
from miacap.settings import to_json
from miacap.visual import (
    Backbone,
    Grid,
    Regions,
    decode,
    detectors,
    extract,
    load,
    preprocessing_for,
    regions_for,
)
from miacap.visual.detector_regions import DetectorRegions, choose
from miacap.visual.detectors import Detections
from miacap.visual.named_regions import regions_named
from miacap.visual.roi_align import roi_align

BOXES = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.9], [0.2, 0.2, 0.2, 0.9]]
SCORES = [[0.2, 0.9], [0.6, 0.5], [0.1, 0.8], [0.99, 0.0]]
"""The third is the first's double, the fourth has no area; the second may be two classes."""


@pytest.fixture
def lamp(onnx_files: SimpleNamespace, tmp_path: Path) -> Path:
    return onnx_files.write(tmp_path, BOXES, SCORES, ["cat", "dog"])


def found(scores: list[float]) -> Detections:
    n = len(scores)
    boxes = torch.rand(n, 4, generator=torch.Generator().manual_seed(n))
    return Detections(boxes, torch.tensor(scores), torch.arange(n), torch.arange(n))


@pytest.mark.parametrize(
    ("boxes", "fewest", "wanted"),
    [(36, 36, 8), (5, 5, 5), (1, 1, 1), (100, 3, 5), (100, 1, 5), (3, 1, 3), (100, 6, 6),
     (100, 20, 8)],
)  # fmt: skip
def test_how_many_boxes_a_photo_has(
    lamp: Path, shades: Backbone, boxes: int, fewest: int, wanted: int
) -> None:
    record = regions_named(f"detector:{lamp}", shades, device="cpu").record
    assert isinstance(record, Detector)
    record = replace(record, boxes=boxes, fewest=fewest, threshold=0.5)
    pairs = found([0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2])  # four from 0.5 on
    rows = choose(pairs, record)
    assert torch.equal(rows[0], torch.tensor([0.0, 0, 1, 1]))
    assert torch.equal(rows[1:], pairs.boxes[: wanted - 1]) and len(rows) == wanted


def test_without_any_box_the_whole_photo_stays(lamp: Path, shades: Backbone) -> None:
    regions = regions_named(f"detector:{lamp}", shades, device="cpu")
    rows, boxes = regions.rows([Image.new("RGB", (40, 30))])[0]  # black: every score is 0
    assert boxes.tolist() == [[0, 0, 1, 1]] and rows.shape == (1, 3)


def test_pairs_without_doubles_and_boxes_without_area(lamp: Path) -> None:
    detector = detectors.load(lamp, "cpu")
    pairs = detector.detect(detector.see(Image.new("RGB", (40, 30), (255, 255, 255))))
    told = [(c, round(float(s), 2)) for c, s in zip(pairs.classes, pairs.scores, strict=True)]
    assert told == [(1, 0.9), (0, 0.6), (1, 0.5), (0, 0.2)]
    assert pairs.places.tolist() == [0, 1, 1, 0]
    each = pairs.distinct()
    assert each.places.tolist() == [0, 1] and each.classes.tolist() == [1, 0]
    torch.testing.assert_close(each.boxes, torch.tensor(BOXES[:2]))


def test_a_class_has_the_score_of_its_best_box_in_the_photo(lamp: Path) -> None:
    finder = detectors.ClassNames(detectors.load(lamp, "cpu"))
    assert finder.record.side == 64
    white = finder.prepare(Image.new("RGB", (40, 30), (255, 255, 255)))
    # The first class has a box of score .99, which has no area.
    torch.testing.assert_close(finder.scores(white), torch.tensor([0.6, 0.9]))
    black = finder.prepare(Image.new("RGB", (40, 30)))
    assert finder.scores(black).tolist() == [0, 0]


def test_a_row_is_the_mean_of_its_boxes_aligned_cells(lamp: Path, shades: Backbone) -> None:
    regions = regions_named(f"detector:{lamp}", shades, device="cpu")
    assert isinstance(regions, DetectorRegions) and isinstance(regions, Regions)
    photo = Image.new("RGB", (40, 30), (255, 255, 255))
    photo.paste((60, 90, 120), (0, 0, 20, 30))
    rows, boxes = regions.rows([photo])[0]
    torch.testing.assert_close(boxes, torch.tensor([[0.0, 0, 1, 1], *BOXES[:2]]))
    grid = Grid(shades)
    map = shades.map(grid.prepare(photo).pixels[None])[0]
    torch.testing.assert_close(rows, roi_align(map, boxes).mean((2, 3)))
    assert float(rows[1].mean()) < -0.2 and float(rows[2].mean()) > 0.9  # dark left, light right


def test_joined_with_the_grid_the_cells_come_first(lamp: Path, shades: Backbone) -> None:
    photo = Image.radial_gradient("L").convert("RGB")
    alone = regions_named(f"detector:{lamp}", shades, device="cpu").rows([photo])[0]
    cells = regions_named("grid", shades).rows([photo])[0]
    both = regions_named(f"grid+detector:{lamp}", shades, device="cpu")
    assert both.record.rows == "grid+boxes" and both.record.title == "lamp on shades with the grid"
    for joined, left, right in zip(both.rows([photo])[0], cells, alone, strict=True):
        assert torch.equal(joined, torch.cat([left, right]))


def folder(path: Path, count: int = 5) -> Path:
    path.mkdir()
    lines = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (30 + number, 40, 3), np.uint8)
        Image.fromarray(pixels // (number + 1)).save(path / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": "a lamp", "split": "train"}))
    (path / "metadata.jsonl").write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("kind", ["detector:", "grid+detector:"])
def test_a_store_carries_its_detector_and_gives_the_same_bits(
    lamp: Path, tmp_path: Path, kind: str
) -> None:
    data = folder(tmp_path / "data")
    regions = regions_named(kind + str(lamp), "efficientnet-lite0", boxes="1-3", threshold=0.28)
    store = extract(read(data), tmp_path / "features", regions=regions, batch_size=2, quiet=True)
    record = store.manifest.preprocessing
    assert isinstance(record, Detector) and record == regions.record
    assert (record.boxes, record.fewest, record.threshold) == (3, 1, 0.28)
    lamp.unlink()  # what the store carries is enough
    again = regions_for(parse(to_json(record), "f"), "cpu", tmp_path / "features")
    counts = set()
    for name in store.names:
        rows, boxes = again.rows([decode((data / name).read_bytes())])[0]
        assert torch.equal(rows.half(), store.rows(name))
        own = store.boxes(name)
        assert own is not None and torch.equal(boxes, own)
        counts.add(len(rows))
    assert len(counts) > 1  # photos of different numbers of boxes
    assert (
        extract(read(data), tmp_path / "features", regions=again, quiet=True).names == store.names
    )


def test_a_store_without_its_detector_says_so(
    lamp: Path, tmp_path: Path, onnx_files: SimpleNamespace
) -> None:
    regions = regions_named(f"detector:{lamp}", "efficientnet-lite0")
    extract(read(folder(tmp_path / "data", 1)), tmp_path / "f", regions=regions, quiet=True)
    record = FeatureStore.open(tmp_path / "f").manifest.preprocessing
    with pytest.raises(RunError, match="whose file lies in the folder of the store or the run"):
        regions_for(record)
    other = onnx_files.detector(BOXES, np.float32(SCORES) / 2)
    (tmp_path / "f" / "detector.onnx").write_bytes(other)
    with pytest.raises(RunError, match=r"not the detector 'lamp on efficientnet-lite0' that found"):
        regions_for(record, "cpu", tmp_path / "f")
    (tmp_path / "f" / "detector.onnx").unlink()
    with pytest.raises(RunError, match=r"detector\.onnx: there is no such file.*copy the folder"):
        regions_for(record, "cpu", tmp_path / "f")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("gird", {}, UnknownName, "No regions named 'gird'. Did you mean 'grid'?"),
        ("detector:", {}, UnknownName, "Known: grid, detector:FILE.onnx, grid+detector:FILE.onnx"),
        ("grid", {"boxes": "36"}, SettingsError, "grid has as many regions as cells"),
        ("grid", {"threshold": 0.2}, SettingsError, "grid has as many regions as cells"),
        ("LAMP", {"boxes": "ten"}, SettingsError, "boxes is a number (36), or the fewest and"),
        ("LAMP", {"boxes": "9-3"}, SettingsError, "fewest is 1 to the number of boxes (3), not 9"),
        ("LAMP", {"boxes": "0"}, SettingsError, "boxes is 1 to 1000, not 0"),
        ("LAMP", {"threshold": 0.3}, SettingsError, "write --boxes 1-36, or leave"),
        ("LAMP", {"boxes": "1-9", "threshold": 1.5}, SettingsError, "threshold is 0 to 1, not 1.5"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_are_named(
    lamp: Path, shades: Backbone, name: str, options: dict[str, object],
    error: type[Exception], message: str,
) -> None:  # fmt: skip
    with pytest.raises(error) as e:
        regions_named(name.replace("LAMP", f"detector:{lamp}"), shades, **options)
    assert message in str(e.value)


def test_a_map_of_the_middle_cannot_be_pooled(lamp: Path, shades: Backbone) -> None:
    record = regions_named(f"detector:{lamp}", shades, device="cpu").record
    with pytest.raises(SettingsError, match="its map has to show the whole of it"):
        replace(record, pooling=replace(record.pooling, resize="crop"))
    with pytest.raises(SettingsError, match="own cells, so grid says nothing here"):
        replace(record, pooling=replace(record.pooling, grid=3))


def test_boxes_are_pooled_from_the_maps_own_cells(lamp: Path, shades: Backbone) -> None:
    photo = Image.radial_gradient("L").convert("RGB")
    alone = regions_named(f"detector:{lamp}", shades).rows([photo])[0]
    how = preprocessing_for(shades, grid=3)
    rows, boxes = regions_named(f"grid+detector:{lamp}", shades, preprocessing=how).rows([photo])[0]
    assert torch.equal(rows[9:], alone[0]) and torch.equal(boxes[9:], alone[1])
    cells = regions_named("grid", shades, preprocessing=how).rows([photo])[0]
    assert torch.equal(rows[:9], cells[0]) and torch.equal(boxes[:9], cells[1])


REAL = {
    "yolox_nano": [
        ("1001773457_577c3a7d70.jpg", [("dog", 0.88), ("dog", 0.84)]),
        ("3425061393_d093edb8da.jpg", [("person", 0.83), ("tennis racket", 0.73)]),
        ("1012212859_01547e3f17.jpg", [("dog", 0.93), ("sports ball", 0.46)]),
    ],
    "picodet_s_416_coco": [
        ("1001773457_577c3a7d70.jpg", [("dog", 0.95), ("dog", 0.89)]),
        ("1012212859_01547e3f17.jpg", [("dog", 0.94), ("sports ball", 0.47)]),
    ],
}


@cache
def photos_of(shared: Path) -> Photos:
    return read(shared / "flickr8k").photos


def compact(shared: Path, name: str) -> Image.Image:
    return decode(photos_of(shared).read(name))


@pytest.mark.parametrize("file", list(REAL))
def test_the_real_detectors_find_what_is_there(shared: Path, file: str) -> None:
    """Compact copies; for the first two photos these are the numbers of ../shared/detector."""
    detector = detectors.load(shared / "detector" / f"{file}.onnx", "cpu")
    names = detector.description.classes
    for photo, wanted in REAL[file]:
        pairs = detector.detect(detector.see(compact(shared, photo)))
        best = zip(pairs.classes[: len(wanted)], pairs.scores, strict=False)
        told = [(names[int(c)], pytest.approx(float(s), abs=0.006)) for c, s in best]
        assert wanted == told
        assert len(pairs.distinct().scores) >= 36
        whole = (pairs.boxes >= 0).all() and (pairs.boxes <= 1).all()
        assert bool(whole) and bool((pairs.boxes[:, 2:] > pairs.boxes[:, :2]).all())


def test_real_regions_look_at_what_is_there(shared: Path) -> None:
    file = shared / "detector" / "picodet_s_416_coco.onnx"
    regions = regions_named(f"detector:{file}", load("efficientnet-lite2", "cpu"), device="cpu")
    rows, boxes = regions.rows([compact(shared, "1001773457_577c3a7d70.jpg")])[0]
    assert rows.shape == (36, 1280) and boxes.shape == (36, 4) and bool(rows.isfinite().all())
    dogs = torch.tensor([[0.0, 0, 0.37, 0.40], [0.47, 0.25, 0.85, 1.0]])  # seen by eye
    torch.testing.assert_close(boxes[1:3], dogs, atol=0.02, rtol=0)
