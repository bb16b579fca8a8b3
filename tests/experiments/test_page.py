"""The demo's page: what a reader needs beside the pictures; what comes from data is escaped."""

import re
from pathlib import Path

import pytest

from miacap.captioning import Evaluation, Row
from miacap.data import Dataset, NoPhotos, scenes
from miacap.errors import PictureError
from miacap.experiments.demonstration import table
from miacap.experiments.page import write_page
from miacap.metrics import score


def test_the_page_keeps_the_signature_and_escapes_it(tmp_path: Path) -> None:
    dataset = scenes.draw(tmp_path / "scenes", 20, seed=1)
    nothing = Evaluation(rows=(), seconds=1.0)
    table = "| metric | plain |\n|---|---:|\n| BLEU-1 | 0.5 |\n\nSignature: `a<b|tok:ptb`\n"
    write_page(tmp_path / "index.html", dataset, {"plain": nothing}, table)
    text = (tmp_path / "index.html").read_text()
    assert "<td>BLEU-1</td><td>0.5</td>" in text
    assert '<p class="note">Signature: a&lt;b|tok:ptb</p>' in text


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    dataset = scenes.draw(tmp_path / "scenes", 20, seed=1)
    name = dataset.ids[0]
    (tmp_path / "scenes" / name).write_bytes(b"no photo")
    rows = Evaluation(rows=(Row(name, "a dog"),), seconds=1.0)
    with pytest.raises(PictureError, match=f"^{re.escape(name)}: not an image"):
        write_page(tmp_path / "index.html", dataset, {"plain": rows}, "| m |\n|---|\n")
    assert not (tmp_path / "index.html").exists()


def test_the_demos_table_says_its_scale() -> None:
    names = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")
    found = score({"a": ["a dog"], "b": ["a cat"]}, {"a": "a dog", "b": "a cat"}, metrics=names)
    rows = (Row("a", "a dog"), Row("b", "a cat"))
    dataset = Dataset("drawn", (), NoPhotos())
    text = table({"plain": Evaluation(rows=rows, seconds=1.0, scores=found)}, dataset)
    assert "\nScores lie between 0 and 1, CIDEr-D between 0 and 10; higher is better.\n" in text
