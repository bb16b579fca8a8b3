"""Figure 4 and Table 7: what is drawn equals the numbers, and files are whole and alike."""

import html
import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle
from PIL import Image
from typer.testing import CliRunner

from miacap import explain, runs
from miacap.cli.application import app
from miacap.data import Dataset, FeatureStore
from miacap.errors import DataError, MissingExtra, RunError, SettingsError
from miacap.explain import Look, figures
from miacap.explain.figures.aligned import usual_rows
from miacap.explain.figures.drawing import small_photo

SMALL = {"heads": 2, "inner": 12}


@pytest.fixture
def look(tiny: ModuleType, tmp_path: Path) -> Look:
    return explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, hide=False, device="cpu")


def patches(axes: Any) -> list[Any]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_alignment_draws_the_shares_of_each_row_and_iteration(look: Look) -> None:
    assert look.refinement is not None
    drawn = figures.alignment(look, rows=[4, 1])
    axes = drawn.figure.axes
    assert len(axes) == 2 * 2 * 3 and len(drawn.rows) == 6
    place = 0
    for row in (4, 1):
        for n in range(3):
            top, below = axes[place], axes[place + 1]
            place += 2
            word = look.concepts[row].word
            when = f"iteration {n}" if n else "before iteration 1"
            assert top.get_title() == f"pair {row + 1} ({word}): {when}"
            if n == 0:  # nothing has attended yet: the pair alone is shown, without a share
                (outline,) = patches(top)
                wanted = look.boxes[row] * (90, 60, 90, 60)
                assert outline.get_bbox().extents == pytest.approx(wanted, abs=1e-4)
                assert not outline.get_fill() and not patches(below)
                (text,) = below.texts
                assert text.get_text() == f"{word}: no attention yet"
                name = look.region_name(row)
                assert drawn.rows[place // 2 - 1][2:] == [
                    f"{name}: no attention yet",
                    text.get_text(),
                ]
                continue
            shares = look.refinement.regions[n][row]
            found = {(round(p.get_x()), round(p.get_y())): p.get_alpha() for p in patches(top)}
            for region, share in enumerate(shares):
                corner = round(90 * look.boxes[region][0]), round(60 * look.boxes[region][1])
                assert found[corner] == pytest.approx(0.85 * min(1, share * 6 / 8), abs=1e-5)
            widths = [patch.get_width() for patch in patches(below)]
            wanted = sorted(look.refinement.concepts[n][row], reverse=True)[:5]
            assert widths == pytest.approx([one for one in wanted if one >= 0.0005], abs=1e-6)
            assert not any(
                "(0.0 %)" in cell or " 0.0 %" in cell for row in drawn.rows for cell in row
            )
            best = int(look.refinement.concepts[n][row].argmax())
            assert below.texts[0].get_text().startswith(look.concepts[best].word)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((900, 1), (300, 25)), ((1, 900), (25, 300)), ((600, 400), (300, 200)), ((8, 4), (8, 4))],
)
def test_a_thin_photo_is_drawn_thick_enough_to_be_seen(
    look: Look, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "JPEG")
    pixels = small_photo(replace(look.photo, jpeg=file.getvalue()), grey=True)
    assert pixels.shape == (shown[1], shown[0], 3)


def test_pairs_are_chosen_by_what_the_caption_says(look: Look) -> None:
    said = [
        index for index, concept in enumerate(look.concepts)
        if concept.word in {word.text for word in look.words}
    ]  # fmt: skip
    others = [index for index in range(6) if index not in said]
    assert usual_rows(look) == tuple([*said, *others][:3])
    word = replace(look.words[0], text=look.concepts[5].word)
    assert usual_rows(replace(look, words=(word,))) == (5, 0, 1)


def test_files_are_what_their_names_say_and_always_the_same(look: Look, tmp_path: Path) -> None:
    for form in ("png", "svg", "html"):
        paths = [tmp_path / f"{n}.{form}" for n in (1, 2)]
        for path in paths:
            figures.save(figures.alignment(look), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(tmp_path / "1.png") as image:
        assert image.format == "PNG" and image.width > 1000
    assert b"<svg" in (tmp_path / "1.svg").read_bytes()
    text = (tmp_path / "1.html").read_text(encoding="utf-8")
    assert "<script" not in text and len(text) < 2_000_000
    assert "default-src 'none'" in html.unescape(text)
    assert text.count("<tr>") == 1 + 9
    with pytest.raises(SettingsError, match=r"written as \.png, \.svg, \.html"):
        figures.save(figures.alignment(look), tmp_path / "1.pdf")


def test_words_are_no_formulas_and_no_markup(look: Look, tmp_path: Path) -> None:
    word = "$\\frac{<script>"
    hostile = replace(look, concepts=tuple(replace(c, word=word) for c in look.concepts))
    figures.save(figures.alignment(hostile), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in text and "$\\frac{&lt;script&gt;" in text


def test_what_cannot_be_aligned_is_said(tiny: ModuleType, tmp_path: Path, look: Look) -> None:
    plain = tiny.run(tmp_path / "p", "spatial-attention", "plain")
    with pytest.raises(RunError, match="nothing is refined"):
        figures.alignment(explain.look(plain, tiny.PHOTO, hide=False, device="cpu"))
    with pytest.raises(SettingsError, match="no row 7: there are 6 rows"):
        figures.alignment(look, rows=[6])


@given(st.lists(st.floats(0, 10), min_size=3, max_size=30))
def test_best_median_and_worst_are_what_they_are_called(values: list[float]) -> None:
    chosen = figures.choose({str(index): value for index, value in enumerate(values)})
    names = {rank: values[int(name)] for rank, name in chosen.items()}
    assert len(set(chosen.values())) == 3
    assert names["best"] == max(values) and names["worst"] == min(values)
    below = sum(value < names["median"] for value in values)
    above = sum(value > names["median"] for value in values)
    assert max(below, above) <= len(values) / 2


def test_two_pictures_have_no_median() -> None:
    with pytest.raises(DataError, match="three pictures"):
        figures.choose({"a": 1.0, "b": 2.0})


def test_samples_have_every_runs_caption_and_ten_concepts_at_most(
    tiny: ModuleType, tmp_path: Path
) -> None:
    data, store = tiny.data(tmp_path)
    loaded = {
        "plain": runs.load(tiny.run(tmp_path / "p", "spatial-attention", "plain")),
        "combined": runs.load(tiny.run(tmp_path / "c", seed=3, **SMALL)),
    }
    found = figures.gather(loaded, data, "dev", store, device="cpu", quiet=True)
    assert [sample.rank for sample in found] == ["best", "median", "worst"]
    assert found[0].score >= found[1].score >= found[2].score
    extractor = loaded["combined"].extractor("cpu")
    assert extractor is not None
    for sample in found:
        id = sample.photo.name
        assert sample.reference == data.captions[id][0] and len(sample.photo.jpeg) > 100
        for name, run in loaded.items():
            rows = explain_captions(run, data, store)
            assert sample.captions[name] == rows[id]
        belief = explain.looking.heat(extractor, store.rows(id).float())
        joint = 1 - np.prod(1 - belief.double().numpy(), axis=0)
        wanted = sorted(zip(-joint, extractor.words, strict=True))[:10]
        assert [word for word, _ in sample.concepts] == [word for _, word in wanted]
    drawn = figures.samples(found)
    texts = " ".join(text.get_text() for axes in drawn.figure.axes for text in axes.texts)
    for sample in found:
        for name, caption in sample.captions.items():
            assert f"{name}: {caption}"[:40] in texts
    assert "best, the median and the worst" in drawn.says


def explain_captions(run: Any, data: Dataset, store: FeatureStore) -> dict[str, str]:
    from miacap import captioning

    result = captioning.evaluate(
        run, data, "dev", store, metrics=("CIDEr-D",), controls=False, device="cpu", quiet=True
    )
    return {row.id: row.caption or "" for row in result.rows}


def test_the_command_writes_and_replaces_its_own_figures_and_no_photo(
    tiny: ModuleType, tmp_path: Path
) -> None:
    run, photo = tiny.run(tmp_path / "r", **SMALL), tmp_path / "photo.png"
    tiny.PHOTO.save(photo)
    tiny.PHOTO.save(tmp_path / "other.png")

    def invoke(output: str, *more: str) -> Any:
        arguments = ["figure", "alignment", photo, "--run", run, "-o", tmp_path / output,
                     "--device", "cpu", *more]  # fmt: skip
        return CliRunner().invoke(app, list(map(str, arguments)))

    for _ in range(2):
        assert invoke("a.png", "--rows", "2,6").exit_code == 0
    assert isinstance(invoke("other.png").exception, DataError)
    assert isinstance(invoke("a.pdf").exception, SettingsError)
    assert invoke("b.svg", "--rows", "0,x").exit_code == 2


def test_without_matplotlib_the_pip_line_is_said(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'miacap[explain]'")):
        figures.alignment(look)


def test_shares_that_would_read_as_nothing_are_left_out(look: Look) -> None:
    assert look.refinement is not None
    sharp = np.array([[0.7, 0.2992, 0.0006, 0.0002, 0.0, 0.0]] * 6, np.float32)
    refined = replace(look.refinement, concepts=(look.refinement.concepts[0], sharp, sharp))
    drawn = figures.alignment(replace(look, refinement=refined), rows=[0])
    texts = [text.get_text() for text in drawn.figure.axes[3].texts]
    words = [concept.word for concept in look.concepts]
    assert texts == [f"{words[0]} 70.0 %", f"{words[1]} 29.9 %", f"{words[2]} 0.1 %"]
    assert drawn.rows[1][3] == ", ".join(texts)


def test_a_row_is_named_by_what_it_begins_as(look: Look) -> None:
    assert look.refinement is not None
    regions, concepts = look.refinement.regions, look.refinement.concepts

    def first_panel(regions: Any, concepts: Any) -> tuple[str, int, list[str]]:
        refined = replace(look.refinement, regions=regions, concepts=concepts)
        drawn = figures.alignment(replace(look, refinement=refined), rows=[1])
        top, below, *_ = drawn.figure.axes
        texts = [text.get_text() for text in (*top.texts, *below.texts)]
        return top.get_title().partition(":")[0], len(patches(top)), texts

    word, yet = look.concepts[1].word, "no attention yet"
    assert first_panel(regions, concepts) == (f"pair 2 ({word})", 1, [f"{word}: {yet}"])
    fewer = tuple(matrix[:3] for matrix in concepts[1:])  # on the rows of three concepts
    began = (np.eye(3, dtype=np.float32), *(matrix[:, :3] for matrix in fewer))
    taken = (regions[0], *(matrix[:3] for matrix in regions[1:]))
    assert first_panel(taken, began) == (f"concept 2 ({word})", 0, [yet, f"{word}: {yet}"])
    six = (began[0], *(matrix[:, :3] for matrix in concepts[1:]))  # on the rows of six regions
    assert first_panel(regions, six) == ("region 2 (row 1, column 2)", 1, [yet])
    with pytest.raises(SettingsError, match="no row 4: there are 3 rows"):
        refined = replace(look.refinement, regions=taken, concepts=began)
        figures.alignment(replace(look, refinement=refined), rows=[3])


def test_boxes_that_lie_over_one_another_do_not_add_up(look: Look) -> None:
    """Each place is as deep as its strongest box, however many lie there."""
    assert look.refinement is not None
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5]] * 2, np.float32)
    shares = np.array([[0.1, 0.1, 0.3, 0.1, 0.1, 0.3]], np.float32)
    rows = (*look.refinement.regions[:-1], shares)
    mixed = replace(look, boxes=boxes, columns=0,
                    refinement=replace(look.refinement, regions=rows))  # fmt: skip
    axes = figures.alignment(mixed, rows=[0]).figure.axes[4]
    photo, painted = (image.get_array() for image in axes.images)
    assert painted.shape == (*photo.shape[:2], 4)
    np.testing.assert_allclose(painted[40:, :, 3], 0.85 * 0.1 * 6 / 8, atol=1e-6)
    np.testing.assert_allclose(painted[6:30, 9:45, 3], 0.85 * 0.3 * 6 / 8, atol=1e-6)
    (outline,) = patches(axes)  # of the one with the largest share
    assert outline.get_bbox().bounds == pytest.approx((9, 6, 36, 24), abs=1e-4)
    assert not outline.get_fill()
