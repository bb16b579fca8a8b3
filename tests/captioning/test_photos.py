"""Photos through the pipeline without a backbone: order, ids, borders of batches, columns."""

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from miacap import captioning, runs
from miacap.captioning import Pipeline, Row, rows
from miacap.captioning import pipeline as module
from miacap.decoding import Hypothesis
from miacap.errors import PictureError, RunError
from miacap.visual import Grid

from .small import LONG, WIDTH, World, fit, make, settings


class Picking:
    """A backbone that picks 7 x 7 pixels, each channel twice."""

    name = "picking"
    width = WIDTH
    weights_sha256 = "0" * 64
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    device = torch.device("cpu")

    def map(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 16::32, 16::32].repeat(1, 2, 1, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def folder(world: World) -> Path:
    return fit(world, world.root / "plain", settings("nic", "plain"), None).folder


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "regions_for", lambda *_: Grid(Picking()))


def photo(shade: int) -> Image.Image:
    return Image.new("RGB", (32, 32), (shade, 255 - shade, shade // 2))


def data(shade: int) -> bytes:
    file = io.BytesIO()
    photo(shade).save(file, "PNG")
    return file.getvalue()


SHADES = range(0, 240, 40)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("broken", [(), (0,), (1, 2), (5,), (0, 3, 4), tuple(range(6))])
def test_each_photo_has_its_own_row_in_order_whatever_breaks_beside_it(
    folder: Path, size: int, broken: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search tells which photo it saw by the first number of its regions."""
    batches: list[int] = []

    def search(captioner: object, pictures: Any, wanted: object, *_: object) -> list[Hypothesis]:
        batches.append(len(pictures))
        seen = (255 * pictures.regions[:, 0, 0]).round().tolist()
        return [Hypothesis((5,), -shade, True) for shade in seen]

    monkeypatch.setattr(rows, "search", search)
    photos = [b"no photo" if n in broken else photo(shade) for n, shade in enumerate(SHADES)]
    found = list(Pipeline(folder, batch_size=size).rows(photos))
    assert [row.id for row in found] == [str(n) for n in range(6)]
    assert [row.error is not None for row in found] == [n in broken for n in range(6)]
    for n, (row, shade) in enumerate(zip(found, SHADES, strict=True)):
        assert row.log_probability == (None if n in broken else pytest.approx(-shade, abs=0.2))
        assert (row.caption is None) == (n in broken)
    assert max(batches, default=0) <= size and sum(batches) == 6 - len(broken)


def test_ids_are_paths_or_numbers_or_what_was_given(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data(40))
    pipeline = Pipeline(folder)
    given: Sequence[Any] = [path, data(80), photo(120), str(path)]
    assert [row.id for row in pipeline.rows(given)] == [str(path), "1", "2", str(path)]
    assert [row.id for row in pipeline.rows(given, ["w", "x", "y", "z"])] == list("wxyz")
    for ids in (["w"], list("vwxyz")):
        with pytest.raises(ValueError, match=r"is (longer|shorter) than"):
            list(pipeline.rows(given, ids))


def test_the_columns_of_a_batch_are_those_of_its_rows(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data(40))
    pipeline = Pipeline(folder, length_penalty=1.0)
    columns = {"id": [7, "b", "c"], "path": [str(path), "nowhere", None],
               "bytes": [None, data(200), None]}  # fmt: skip
    found = pipeline(columns)
    one, two = pipeline.rows([path, data(200)])
    assert found["id"] == ["7", "b", "c"]
    assert found["caption"] == [one.caption, two.caption, None]
    assert found["log_probability"] == [
        pytest.approx(one.log_probability), pytest.approx(two.log_probability), None,
    ]  # fmt: skip
    assert found["error"][:2] == [None, None] and "an empty cell" in found["error"][2]
    assert one.score is not None and one.score != one.log_probability


def test_networks_stay_behind_when_a_pipeline_travels(folder: Path) -> None:
    pipeline = Pipeline(folder, beam=2, batch_size=5)
    first = pipeline.caption(photo(80))
    travelled = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 - our own bytes
    assert pipeline._networks is not None and travelled._networks is None
    assert (travelled.search, travelled.batch_size) == (pipeline.search, 5)
    assert travelled.caption(photo(80)) == first


def test_an_empty_caption_is_a_caption_and_an_error_is_raised(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(folder)
    monkeypatch.setattr(rows, "search", lambda *_: [Hypothesis((), -1.0, True)])
    assert pipeline.caption(photo(80)) == ""
    with pytest.raises(PictureError, match=r"^0: "):
        pipeline.caption(b"no photo")


def test_every_run_of_an_ensemble_is_looked_at_before_anything_is_loaded(
    world: World, folder: Path, tmp_path: Path
) -> None:
    listed = fit(world, tmp_path / "listed", settings(), world.read("long", LONG)).folder
    begun = fit(world, tmp_path / "begun", settings("nic", "plain"), None, stop_after=0).folder
    for second, message in ((listed, "no extractor that finds them"), (begun, "no weights yet")):
        for several in ([folder, second], [second, folder], [folder, folder, second]):
            with pytest.raises(RunError, match=message):
                captioning.load(several)


def test_a_row_is_the_hypothesis_as_a_sentence(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come in the order of the pictures; a score is told where lengths were weighed."""
    run = runs.load(folder)
    ids = [[run.vocabulary.id(word) for word in text.split()] for text in ("a dog", "the cat and")]
    said = [Hypothesis(tuple(words), -float(n + 1), True) for n, words in enumerate(ids)]
    monkeypatch.setattr(rows, "search", lambda *_: said)
    pipeline = Pipeline(folder)
    found = list(pipeline.rows([photo(40), photo(80)], ["x", "y"]))
    assert found == [
        Row("x", "A dog.", -1.0, per_word=-1 / 3),
        Row("y", "The cat and.", -2.0, per_word=-2 / 4),
    ]
    assert found[1].to_json() == {"id": "y", "caption": "The cat and.", "log_probability": -2.0}
    scored = list(Pipeline(folder, length_penalty=0.5).rows([photo(40), photo(80)]))
    assert [row.score for row in scored] == [one.score(0.5) for one in said]
    assert [row.to_json()["score"] for row in scored] == [one.score(0.5) for one in said]
    assert Row("a", error="a: gone").to_json() == {"id": "a", "error": "gone"}
