"""`miacap concepts show`: words with probabilities, and where in the photo."""

import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from miacap import concepts as room
from miacap import runs, visual
from miacap.cli.application import app
from miacap.concepts import ConceptFolder
from miacap.errors import DataError, RunError, SettingsError
from miacap.explain import heat_map, show
from miacap.visual import memory

from .conftest import WORDS


def photo_of(dataset, name: str) -> Image.Image:
    return visual.decode(dataset.photos.read(name))


def test_words_come_best_first_with_the_stores_probabilities(drawn) -> None:
    root, dataset, regions = drawn
    name = dataset.ids[0]
    run = runs.load(root / "multiple-instance")
    found = show(run, photo_of(dataset, name), top=3)
    stored = ConceptFolder.open(root / "c-multiple-instance").store.rows(name)
    best = sorted(range(len(WORDS)), key=lambda place: -float(stored[place]))[:3]
    assert [concept.word for concept in found] == [WORDS[place] for place in best]
    for concept, place in zip(found, best, strict=True):
        assert concept.probability == pytest.approx(float(stored[place]), abs=1e-3)
        cells = room.heat(run.extractor(), regions.rows(name))[:, place]
        assert concept.hottest == pytest.approx(float(cells.max()), abs=1e-3)
        assert concept.hottest <= concept.probability and concept.heat_map is None


def test_heat_is_red_where_the_belief_is(tmp_path: Path) -> None:
    photo = Image.new("RGB", (140, 70), (90, 90, 90))
    belief = torch.full((49,), 0.001)
    belief[7 * 1 + 5] = 0.4  # second row, sixth column
    image = heat_map(photo, belief, visual.grid.boxes(7, 7))
    assert image.size == (140, 70)
    red, green, _ = image.getpixel((20 * 5 + 10, 10 * 1 + 5))
    assert red > 180 and red - green > 100
    for x, y in ((10, 5), (130, 65), (50, 15)):
        r, g, b = image.getpixel((x, y))
        assert abs(r - g) < 12 and abs(g - b) < 12


def test_what_the_network_did_not_see_has_no_heat() -> None:
    photo = Image.new("RGB", (200, 100), (90, 90, 90))
    boxes = visual.grid.boxes(7, 7) * torch.tensor([0.5, 1.0, 0.5, 1.0])
    boxes = boxes + torch.tensor([0.25, 0.0, 0.25, 0.0])
    image = heat_map(photo, torch.full((49,), 0.7), boxes)
    grey, hot = image.getpixel((20, 50)), image.getpixel((100, 50))
    assert grey[0] == grey[1] and hot[0] - hot[1] > 100


def test_large_photos_give_maps_of_a_screen(drawn) -> None:
    image = heat_map(Image.new("RGB", (3000, 1500)), torch.rand(49), visual.grid.boxes(7, 7))
    assert image.size == (768, 384)


def test_the_command_prints_a_table_and_saves_a_map_per_word(drawn, tmp_path: Path) -> None:
    root, dataset, _ = drawn
    path = tmp_path / "photo.png"
    path.write_bytes(dataset.photos.read(dataset.ids[1]))
    run = str(root / "multiple-instance")
    done = CliRunner().invoke(
        app,
        ["concepts", "show", str(path), "--run", run, "-o", str(tmp_path / "heat"), "--top", "4"],
    )
    assert done.exit_code == 0, done.output
    head, *lines = done.stdout.splitlines()
    assert head.split()[:4] == ["word", "probability", "surest", "cell"]
    assert {line.split()[0] for line in lines} == set(WORDS)
    (own,) = (tmp_path / "heat").iterdir()  # a folder for each photo
    saved = sorted(own.iterdir())
    assert [p.stem for p in saved] == [
        f"{n:02d}-{line.split()[0]}" for n, line in enumerate(lines, 1)
    ]
    with Image.open(io.BytesIO(saved[0].read_bytes())) as image:
        assert image.format == "PNG"


def test_what_cannot_be_shown_says_why(drawn, tmp_path: Path) -> None:
    root, dataset, _ = drawn
    photo = photo_of(dataset, dataset.ids[0])
    with pytest.raises(RunError, match="reads no concepts; choose one trained with --concepts"):
        show(runs.load(root / "plain"), photo)
    pooled = runs.load(root / "pooled")
    found = show(pooled, photo)
    assert len(found) == 4 and {concept.hottest for concept in found} == {None}
    with pytest.raises(RunError, match="pooled extractor has no belief per region"):
        show(pooled, photo, folder=tmp_path / "heat")
    assert not (tmp_path / "heat").exists()
    with pytest.raises(SettingsError, match="At least 1 word"):
        show(pooled, photo, top=0)


@pytest.mark.timeout(60, method="thread")  # an endless read may not hear a signal
@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_the_command_reads_no_pipe_no_device_and_no_huge_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "huge.tif", "wb") as file:
        file.truncate(memory.LARGEST + 1)
    for photo, said in (
        (tmp_path / "pipe", "is a named pipe; name a file."),
        (Path("/dev/zero"), "is a device; name a file."),
        (tmp_path, "is a folder; name a file."),
        (tmp_path / "none.jpg", "there is no such file."),
        (tmp_path / "huge.tif", "the file has 520 MB; at most 520 are read."),
    ):
        done = CliRunner().invoke(app, ["concepts", "show", str(photo), "--run", str(tmp_path)])
        assert isinstance(done.exception, DataError)
        assert str(done.exception).startswith(f"{photo}: {said}")


def test_the_command_shows_on_the_device_that_is_asked_for(drawn, tmp_path: Path) -> None:
    root, dataset, _ = drawn
    path = tmp_path / "photo.png"
    path.write_bytes(dataset.photos.read(dataset.ids[1]))
    command = ["concepts", "show", str(path), "--run", str(root / "multiple-instance")]
    done = CliRunner().invoke(app, [*command, "--device", "cuda:99"])
    assert isinstance(done.exception, SettingsError) and "cuda:99" in str(done.exception)
