"""Code that cannot be edited: imports of pycocoevalcap and pyciderevalcap find ours."""

import importlib
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from miacap.errors import DataError
from miacap.metrics import DocumentFrequencies, pycoco, score

ROOTS = ("pycocoevalcap", "pyciderevalcap")


@pytest.fixture
def installed() -> Iterator[None]:
    pycoco.install()
    yield
    pycoco.uninstall()


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in ROOTS]


def test_every_import_of_a_known_script_gets_ours(installed: None) -> None:
    """The lines of lmms-eval's COCO task and of self-critical training."""
    script = """
from pycocoevalcap.eval import COCOEvalCap, Bleu, Meteor, Rouge, Cider, Spice
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocoevalcap.bleu.bleu import Bleu as B
import pycocoevalcap.cider.cider as module
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pyciderevalcap.ciderD.ciderD import CiderD
"""
    names: dict[str, object] = {}
    exec(script, names)
    for name in ("COCOEvalCap", "Bleu", "Meteor", "Rouge", "Cider", "Spice", "PTBTokenizer"):
        assert names[name] is getattr(pycoco, name)
    assert names["B"] is pycoco.Bleu and names["CiderD"] is pycoco.CiderD
    assert names["module"].Cider is pycoco.Cider  # type: ignore[attr-defined]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("pycocoevalcap.nothing")


def test_undone_and_done_once_only() -> None:
    before, loaded = list(sys.meta_path), _loaded()
    held = sys.modules["pycocoevalcap"] = type(sys)("pycocoevalcap")
    try:
        pycoco.install()
        pycoco.install()
        assert len(sys.meta_path) == len(before) + 1
        assert importlib.import_module("pycocoevalcap").Bleu is pycoco.Bleu
        pycoco.uninstall()
        pycoco.uninstall()
        assert sys.meta_path == before
        assert sys.modules["pycocoevalcap"] is held
    finally:
        del sys.modules["pycocoevalcap"]
    assert set(_loaded()) == set(loaded) - {"pycocoevalcap"}


def test_meteor_finds_its_tables_behind_the_hook(installed: None) -> None:
    from miacap.metrics.meteor import sources

    sources.folder.cache_clear()
    assert (sources.folder() / "meteor-1.5.jar").is_file()


GTS = {1: ["a dog runs on grass", "the dog runs"], 2: ["two red buses stand here"]}


def test_cider_d_is_that_of_the_other_stand_in() -> None:
    res = [
        {"image_id": 1, "caption": ["a dog runs on the grass"]},
        {"image_id": 2, "caption": ["two red buses"]},
    ]
    mean, values = pycoco.CiderD(df="corpus").compute_score(GTS, res)
    expected = pycoco.Cider().compute_score(GTS, {r["image_id"]: r["caption"] for r in res})
    assert mean == expected[0] and np.array_equal(values, expected[1])
    assert mean > 0


def test_cider_d_of_many_samples_a_picture() -> None:
    """With fixed frequencies samples do not touch each other; each entry counts as a picture."""
    texts = ["a dog runs on the grass", "two red buses", "a dog"]
    res = [{"image_id": n, "caption": [t]} for n, t in zip((1, 2, 1), texts, strict=True)]
    lists = [[line.split() for line in lines] for lines in GTS.values()] * 3
    fixed = DocumentFrequencies.count(lists)
    _, values = pycoco.CiderD(df=fixed).compute_score(GTS, res)
    for value, result in zip(values, res, strict=True):
        alone = score(
            [GTS[result["image_id"]]],  # type: ignore[index]
            [result["caption"][0]],  # type: ignore[index]
            ["CIDEr"],
            tokenized=True,
            frequencies=fixed,
        )
        assert value == pytest.approx(alone["CIDEr-D"], abs=1e-12)
    # Every entry is a picture: twice the same lowers the weight of what its references hold.
    _, once = pycoco.CiderD().compute_score(GTS, res[:2])
    _, twice = pycoco.CiderD().compute_score(GTS, [res[0], *res[:2]])
    assert 0 < twice[0] < once[0]


def test_cider_d_says_what_it_cannot_read() -> None:
    with pytest.raises(DataError, match="coco-train-idxs"):
        pycoco.CiderD(df="coco-train-idxs")
    with pytest.raises(DataError, match=r"res\[0\]: caption"):
        pycoco.CiderD().compute_score(GTS, [{"image_id": 1, "caption": "a dog"}])
    with pytest.raises(DataError, match=r"res\[1\]: gts has no list of references for 7"):
        pycoco.CiderD().compute_score(
            GTS, [{"image_id": 1, "caption": ["a"]}, {"image_id": 7, "caption": ["a"]}]
        )
    with pytest.raises(DataError, match="no result"):
        pycoco.CiderD().compute_score(GTS, [])
