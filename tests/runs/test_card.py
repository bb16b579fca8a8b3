"""A run's card: each number in its place, and a way to captions that works for this run."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miacap.concepts import ConceptFolder, ConceptSource
from miacap.data import FeatureStore, Manifest, Preprocessing, Source
from miacap.data.features import Given
from miacap.runs import RunSettings, card_text, create
from miacap.text import Vocabulary

SOURCES = (Source("captions.csv", "1" * 64, 10, "CC0"), Source("more.csv", "2" * 64, 10, ""))
SIZES = {"width": 8, "word_width": 8}
LISTS = ConceptSource(("cat", "dog"), "lists", "1" * 64, "ranks", "lists.json")


def card(folder: Path, made: Any, concepts: ConceptSource | None = None, watch: str = "") -> str:
    settings = RunSettings("nic", "plain", SIZES, region_width=6)
    settings = replace(settings, training=replace(settings.training, watch=watch))
    about = Manifest("concepts", made, 2, LISTS.words, LISTS.checksum, "a test")
    nothing = FeatureStore(folder, about, [], verify=False)
    given = None if concepts is None else ConceptFolder(folder, nothing, concepts)
    run = create(folder, settings, Vocabulary(["a", "cat"]), made, SOURCES, given)
    scores = {"BLEU-4": 0.25, "CIDEr-D": 1.5, "distinct": 12.0}
    return card_text(run, scores, 7, ["A first note.", "A second note."])


def test_every_number_and_name_has_its_place(tmp_path: Path) -> None:
    text = card(tmp_path / "run", Preprocessing("efficientnet-lite0", "0" * 64))
    front, title, *_ = text.split("---\n")[1:]
    assert front.splitlines() == [
        "library_name: miacap", "pipeline_tag: image-to-text", "tags:", "- image-captioning",
        "- nic",
    ]  # fmt: skip
    assert title.strip().startswith("# nic, source plain")
    assert "on features of `efficientnet-lite0`." in text
    rows = re.findall(r"^\| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert rows[1:] == [("BLEU-4", "0.2500"), ("CIDEr-D", "1.5000"), ("distinct", "12")]
    assert "Reached after epoch 7, chosen by CIDEr-D" in text
    other = card(tmp_path / "o", Preprocessing("made-up", "0" * 64), watch="-loss per word")
    assert "Reached after epoch 7, chosen by loss per word on that split" in other
    assert "A first note.\nA second note.\n" in text
    assert "- `captions.csv` (CC0)\n- `more.csv` (terms not stated)\n" in text


@pytest.mark.parametrize("kind", ["photos", "given", "lists", "given lists"])
def test_the_way_to_captions_is_one_that_works(tmp_path: Path, kind: str) -> None:
    made = Given("boxes of ours") if "given" in kind else Preprocessing("made-up", "0" * 64)
    text = card(tmp_path / "run", made, LISTS if "lists" in kind else None)
    live = 'miacap.load("run").caption("photo.jpg")' in text
    assert live == ("miacap caption photo.jpg --run run" in text) == (kind == "photos")
    given = " --concepts CONCEPTS" if "lists" in kind else ""
    stored = f"miacap evaluate run DATA --features FEATURES{given} -o captions.jsonl"
    assert (stored in text) == (kind != "photos")
    assert ("were given (boxes of ours), so it cannot see photos" in text) == ("given" in kind)
    assert ("read from a file (`lists.json`)" in text) == (kind == "lists")
