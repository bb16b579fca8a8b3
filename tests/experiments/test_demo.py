"""The demo's two arms: trained as asked, told apart in the table and on the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap.captioning import Evaluation, Row
from miacap.data import scenes
from miacap.errors import RunError, SettingsError
from miacap.experiments import demonstration
from miacap.experiments.page import write_page
from miacap.metrics import score
from miacap.runs import RunSettings

from .conftest import MadeUp

SAID = {"plain": ("a dog", "a dog"), "combined": ("a dog", "a <cat>")}


def evaluated(arm: str) -> Evaluation:
    """Two pictures, captioned and scored."""
    texts = dict(zip("ab", SAID[arm], strict=True))
    scores = score({"a": ["a dog"], "b": ["a cat"]}, texts, metrics=demonstration.SHOWN)
    return Evaluation(tuple(Row(id, text) for id, text in texts.items()), 1.0, scores)


def test_the_demos_arms_are_trained_as_asked_and_told_apart(
    made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, RunSettings, object]] = []

    def train(_: object, __: object, folder: Path, settings: RunSettings, **more: Any) -> None:
        trained.append((folder.name, settings, more["concepts"]))

    pages: list[tuple[Any, ...]] = []
    monkeypatch.setattr(demonstration.visual, "extract", lambda *_, **__: made_up.regions)
    monkeypatch.setattr(demonstration.concepts, "train", lambda *_, **__: None)
    monkeypatch.setattr(demonstration.ConceptFolder, "open", lambda *_: made_up.concepts)
    monkeypatch.setattr(demonstration.captioning, "train", train)
    monkeypatch.setattr(demonstration.captioning, "evaluate", lambda run, *_, **__: evaluated(run))
    monkeypatch.setattr(demonstration.runs, "load", lambda folder: folder.name)
    monkeypatch.setattr(demonstration, "write_page", lambda *page: pages.append(page))
    wanted = demonstration.Demo(pictures=20, epochs=4, width=24, seed=6)
    text = demonstration.demo(tmp_path / "demo", wanted, device="cpu", quiet=True)
    assert [(name, concepts) for name, _, concepts in trained] == [
        ("plain", None), ("combined", made_up.concepts),
    ]  # fmt: skip
    for name, settings, _ in trained:
        assert (settings.captioner, settings.source) == ("spatial-attention", name)
        assert (settings.training.epochs, settings.training.seed) == (4, 6)
        assert settings.training.device == "cpu"
        assert settings.sizes["width"] == 24 and settings.minimum_count == 2
    assert "| metric | plain | combined |\n" in text
    assert "| distinct captions | 1 | 2 |\n" in text and "\n2 drawn test scenes" in text
    assert (tmp_path / "demo" / "table.md").read_text() == text
    ((page, dataset, results, table, photos, pictures),) = pages
    assert photos == [] and pictures == tmp_path / "demo" / "photos"
    assert page.name == "index.html" and table == text and list(results) == ["plain", "combined"]
    assert len(dataset) == 20


def test_a_card_has_each_arms_own_caption_and_a_reference(tmp_path: Path) -> None:
    dataset = scenes.draw(tmp_path / "scenes", 20, seed=1)
    one, two = dataset.split("test").ids[:2]
    shown = {}
    for arm in SAID:
        result = evaluated(arm)
        rows = (replace(result.rows[0], id=one), replace(result.rows[1], id=two))
        shown[arm] = replace(result, rows=rows)
    pictures = tuple(
        replace(entry, captions=("<b>a dog</b>", "another")) if entry.id == two else entry
        for entry in dataset.pictures
    )
    dataset = replace(dataset, pictures=pictures)
    write_page(tmp_path / "index.html", dataset, shown, demonstration.table(shown, dataset))
    _, _, second = (tmp_path / "index.html").read_text().split("<article>")
    assert "<dt>plain</dt><dd>a dog</dd>" in second
    assert "<dt>combined</dt><dd>a &lt;cat&gt;</dd>" in second
    assert "<dt>a reference</dt><dd>&lt;b&gt;a dog&lt;/b&gt;</dd>" in second
    assert 'alt="&lt;b&gt;a dog&lt;/b&gt;"' in second and "another" not in second


@pytest.mark.parametrize(
    "file", ["features/mine.npy", "concepts/a", "runs/a", "runs/plain/a", "scenes/a", "other.txt"]
)
def test_a_folder_with_other_files_in_a_part_is_left_as_it_was(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=path.name if "plain" not in file else "plain"):
        demonstration.demo(tmp_path, demonstration.Demo(pictures=20), quiet=True)
    assert sorted(tmp_path.rglob("*")) == before and path.read_bytes() == b"mine"


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cuda:99"):
        demonstration.demo(tmp_path / "demo", device="cuda:99", quiet=True)
    assert not (tmp_path / "demo").exists()
