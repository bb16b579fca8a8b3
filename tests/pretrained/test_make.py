"""A captioner is put into the box with its confidence, and its card tells of it."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import card  # pretrained/card.py; conftest.py says where
import make
import pytest
from scores import NO_PHOTOS

from miacap import runs
from miacap.captioning import Row
from miacap.data import Dataset, Preprocessing, Source
from miacap.errors import RunError
from miacap.files import sha256
from miacap.runs import Calibration, Confidence, RunSettings, SelfCritical
from miacap.runs import folder as module
from miacap.runs.confidence import FILE, calibration_of
from miacap.runs.packing import SUMS
from miacap.text import Vocabulary
from miacap.weights import write_weights

MADE = Calibration(
    -3.0, -4.0, (1.0,), 0.5, "made with other weights", "dev", 1000, 0.25, (0.05, 0.2, 0.3, 0.45),
    0.0312, (),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    words, folder = Vocabulary(["a", "cat", "dog"]), tmp_path / "run"
    settings = RunSettings("nic", "plain", {"width": 8, "word_width": 8}, region_width=6)
    record = Preprocessing("efficientnet-lite2", "0" * 64)
    laid = runs.create(folder, settings, words, record, (Source("a.csv", "1" * 64, 10, "CC0"),))
    network = module.build(laid.settings, len(words))
    write_weights(folder / "weights.safetensors", network.state_dict())
    return folder


def test_a_packed_captioner_has_its_confidence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there before the packed run captions, holds for its weights, and has its sum."""
    seen: dict[str, Any] = {}
    package = tmp_path / "package"
    (package / "src" / "miacap_flickr8k").mkdir(parents=True)

    def captions_of(packed: runs.Run, *others: Any, **options: Any) -> tuple[Row, ...]:
        seen["calibration"], seen["why"] = calibration_of(packed)
        return (Row("1", "A cat.", -1.0, per_word=-0.5),)

    result = SimpleNamespace(rows=(Row("1", "A cat.", -1.0, per_word=-0.5),))
    found = SimpleNamespace(scores={"CIDEr-D": 0.5})
    monkeypatch.setattr(make, "read", lambda data: Dataset("d", (), None))  # type: ignore[arg-type]
    monkeypatch.setattr(make.FeatureStore, "open", lambda folder: None)
    monkeypatch.setattr(make.captioning, "evaluate", lambda *a, **o: result)
    monkeypatch.setattr(make.captioning, "calibrate", lambda *a: MADE)
    monkeypatch.setattr(make.captioning, "captions_of", captions_of)
    monkeypatch.setattr(make.scores, "found", lambda *a: found)
    monkeypatch.setattr(make.card, "text", lambda *a: "card")
    words = [str(run), "--data", "d", "--features", "f", "--package", str(package)]
    make.make(make.parsed(words))
    folder = package / "src" / "miacap_flickr8k" / "run"
    assert seen["calibration"] is not None, seen["why"]
    assert seen["calibration"].weights_sha256 == sha256(folder / "weights.safetensors")
    assert f"{sha256(folder / FILE)}  {FILE}\n" in (folder / SUMS).read_text()
    assert not (run / FILE).exists()  # the run that is packed stays what it was


def test_the_card_says_how_far_to_trust_it(run: Path) -> None:
    sure, deep = Confidence(0.1, False, False), Confidence(None, True, True)
    trusts = (*[sure] * 6, Confidence(0.6, True, False), deep)
    rows = tuple(Row(str(n), "A.", confidence=trust) for n, trust in enumerate(trusts))
    found: Any = SimpleNamespace(
        rows=(*rows, Row("x", error="broken")), unlike={"pure noise": True, "black": False}
    )
    loaded = runs.load(run)
    with pytest.raises(RunError, match="has no confidence to tell of"):
        card._trust(loaded, found)
    make.keep(MADE, run)
    said = card._trust(loaded, found).replace("\n", " ")
    assert "1,000 dev captions 25% are" in said and "5%, 20%, 30%, 45%" in said
    assert "error of its shares is 0.031" in said
    assert "unsure of 2 of 8 dev photos; 1 of these count as out of its depth" in said
    assert "images of: pure noise. Not noticed: black." in said
    assert "probably higher" not in said
    critical = SelfCritical(rewards={"CIDEr-D": 1.0, "BLEU-4": 0.5, "BLEU-1": 0.0})
    trained = replace(loaded, settings=replace(loaded.settings, objective=critical))
    assert (
        "is 0.031). But the run was trained to score in CIDEr-D and BLEU-4, and the share of wrong "
        "captions is estimated by what they score in CIDEr-D: it is probably higher "
        "(docs/confidence.md). It is unsure of 2 of 8 dev photos"
    ) in card._trust(trained, found).replace("\n", " ")


def test_the_card_packs_the_run_that_its_commands_made() -> None:
    lines = [
        "miacap train d -o runs/a  # 40 min",
        "miacap tune d --from runs/a \\",
        "    -o runs/b",
    ]
    assert card._last_folder(lines) == "runs/b" and card._last_folder(["make"]) == ""
    page = (make.PACKAGE / "README.md").read_text(encoding="utf-8")
    (packed,) = re.findall(r"^python pretrained/make.py (\S+)", page, re.M)
    assert packed == re.findall(r"-o (\S+)", page)[-1]


def test_pure_noise_is_no_photo() -> None:
    noise = NO_PHOTOS["pure noise"]
    assert noise.shape == (300, 400, 3) and noise.std() > 70
