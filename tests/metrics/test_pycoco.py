"""The drop-in: pycocoevalcap's own example and a public harness' shape, imports changed alone."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from miacap.errors import DataError, MissingExtra
from miacap.metrics.pycoco.bleu.bleu_scorer import BleuScorer
from miacap.metrics.pycoco.cider.cider_scorer import CiderScorer
from miacap.metrics.pycoco.coco import COCO
from miacap.metrics.pycoco.eval import (
    Bleu,
    Cider,
    COCOEvalCap,
    Meteor,
    PTBTokenizer,
    Rouge,
    Spice,
)

MODULES = {
    "eval": "COCOEvalCap",
    "tokenizer.ptbtokenizer": "PTBTokenizer",
    "bleu.bleu": "Bleu",
    "bleu.bleu_scorer": "BleuScorer",
    "cider.cider": "Cider",
    "cider.cider_scorer": "CiderScorer",
    "meteor.meteor": "Meteor",
    "rouge.rouge": "Rouge",
    "spice.spice": "Spice",
}

# The first pictures only: METEOR and SPICE are what takes time.
FEW = 12


def annotated(images: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """COCO annotations and results of pictures of a golden file."""
    annotations = [
        {"id": 100 * place + n, "image_id": i["id"], "caption": caption}
        for place, i in enumerate(images)
        for n, caption in enumerate(i["references"])
    ]
    results = [{"image_id": i["id"], "caption": i["candidate"]} for i in images]
    return {"images": [{"id": i["id"]} for i in images], "annotations": annotations}, results


@pytest.fixture(scope="module")
def files(fakecap: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[int]]:
    """COCO annotations and results of some pictures, as files."""
    folder = tmp_path_factory.mktemp("coco")
    images = fakecap.content["images"][:FEW]
    annotations, results = annotated(images)
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "annotations.json", folder / "results.json", [i["id"] for i in images]


@pytest.mark.parametrize(("module", "name"), MODULES.items())
def test_the_same_module_names(module: str, name: str) -> None:
    ours = getattr(importlib.import_module(f"miacap.metrics.pycoco.{module}"), name)
    assert ours.__name__ == name
    if name not in ("COCOEvalCap", "PTBTokenizer", "BleuScorer", "CiderScorer"):
        assert callable(ours.compute_score) and callable(ours.method)


def test_the_example_script(
    files: tuple[Path, Path, list[int]], fakecap: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """pycocoevalcap's example, line for line, but for the imports and paths."""
    annotation_file, results_file, ids = files
    coco = COCO(annotation_file)
    coco_result = coco.loadRes(results_file)
    coco_eval = COCOEvalCap(coco, coco_result)
    coco_eval.params["image_id"] = coco_result.getImgIds()
    coco_eval.evaluate()
    printed = capsys.readouterr().out
    assert "tokenization...\nsetting up scorers...\ncomputing Bleu score...\n" in printed
    assert "{'testlen': " in printed and "ratio: " in printed and "METEOR: 0." in printed
    names = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr", "SPICE"]
    assert list(coco_eval.eval) == names
    assert coco_eval.parser
    assert [row["image_id"] for row in coco_eval.evalImgs] == ids
    official = fakecap.content["per_image"]
    for place, row in enumerate(coco_eval.evalImgs):
        for ours, theirs in (("Bleu_4", "BLEU-4"), ("METEOR", "METEOR"), ("ROUGE_L", "ROUGE_L")):
            assert row[ours] == pytest.approx(official[theirs][place], abs=1e-12)
        assert set(row["SPICE"]["All"]) == {"pr", "re", "f", "fn", "numImages", "fp", "tp"}
    mean = np.mean([row["SPICE"]["All"]["f"] for row in coco_eval.evalImgs])
    assert coco_eval.eval["SPICE"] == pytest.approx(mean)


@pytest.mark.slow
def test_the_installed_example_script_with_its_imports_changed(
    fakecap: Any, tmp_path: Path
) -> None:
    """The very script that pycocoevalcap installs, on coco-caption's own 1,000 captions."""
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        pytest.skip("pycocoevalcap is not installed")
    folder = Path(package.submodule_search_locations[0]) / "example"
    lines = (folder / "coco_eval_example.py").read_text(encoding="utf-8").splitlines()
    changed = [
        line.replace("pycocotools.", "miacap.metrics.pycoco.").replace(
            "pycocoevalcap.", "miacap.metrics.pycoco."
        )
        if line.startswith("from ")
        else line
        for line in lines
    ]
    assert sum(a != b for a, b in zip(lines, changed, strict=True)) == 2
    (tmp_path / "example.py").write_text("\n".join(changed), encoding="utf-8")
    truth, results = annotated(fakecap.content["images"])
    (tmp_path / "captions_val2014.json").write_text(json.dumps(truth))
    (tmp_path / "captions_val2014_fakecap_results.json").write_text(json.dumps(results))
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(": ") for line in done.stdout.splitlines()[-8:])
    assert list(printed) == [*official_names(), "SPICE"]
    for name, official in official_names().items():
        assert printed[name] == f"{fakecap.content['corpus'][official]:.3f}"
    assert float(printed["SPICE"]) == pytest.approx(0.133, abs=0.010)


def official_names() -> dict[str, str]:
    """Names of the drop-in -> those of the golden files."""
    bleu = {f"Bleu_{n}": f"BLEU-{n}" for n in range(1, 5)}
    return {**bleu, "METEOR": "METEOR", "ROUGE_L": "ROUGE_L", "CIDEr": "CIDEr"}


def harness_score(metric: str, rows: list[dict[str, Any]]) -> float:
    """An evaluation in the shape of lmms-eval's COCO task: it scores one metric a call."""
    dataset: dict[str, Any] = {"annotations": [], "images": []}
    stored, number = [], 0
    for row in rows:
        stored.append({"image_id": row["id"], "caption": row["candidate"]})
        for caption in row["references"]:
            dataset["annotations"].append({"image_id": row["id"], "caption": caption, "id": number})
            number += 1
        dataset["images"].append({"id": row["id"]})
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    result = coco.loadRes(stored)
    evaluation = COCOEvalCap(coco, result)
    names = evaluation.params["image_id"]
    gts: Any = {name: evaluation.coco.imgToAnns[name] for name in names}
    res: Any = {name: evaluation.cocoRes.imgToAnns[name] for name in names}
    tokenizer = PTBTokenizer()
    gts, res = tokenizer.tokenize(gts), tokenizer.tokenize(res)
    scorers = [
        (Bleu(4), "Bleu_1"),
        (Bleu(4), "Bleu_4"),
        (Meteor(), "METEOR"),
        (Rouge(), "ROUGE_L"),
        (Cider(), "CIDEr"),
    ]
    places = {name: scorer for scorer, name in scorers}
    score, _ = places[metric].compute_score(gts, res)
    if type(score) is list:
        score = score[int(metric.split("_")[-1]) - 1]
    return float(score)


@pytest.mark.parametrize("metric", ["Bleu_1", "Bleu_4", "ROUGE_L", "CIDEr"])
def test_a_harness_in_the_shape_of_lmms_eval(metric: str, fakecap: Any) -> None:
    expected = fakecap.content["corpus"][metric.replace("Bleu_", "BLEU-")]
    assert harness_score(metric, fakecap.content["images"]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_meteor_in_the_harness(fakecap: Any) -> None:
    expected = fakecap.content["corpus"]["METEOR"]
    assert harness_score("METEOR", fakecap.content["images"]) == pytest.approx(expected, abs=1e-9)


def test_types_and_orders_are_the_originals(edge: Any) -> None:
    """Side by side with the original on its own tokens; SPICE and METEOR need Java there."""
    original = pytest.importorskip("pycocoevalcap.bleu.bleu")
    cider = importlib.import_module("pycocoevalcap.cider.cider")
    rouge = importlib.import_module("pycocoevalcap.rouge.rouge")
    gts = dict(enumerate(edge.tokenized_references))
    res = {n: [c] for n, c in enumerate(edge.tokenized_candidates)}
    for ours, theirs in (
        (Bleu(4), original.Bleu(4)),
        (Bleu(2), original.Bleu(2)),
        (Cider(), cider.Cider()),
        (Cider(sigma=2.0), cider.Cider(sigma=2.0)),
        (Rouge(), rouge.Rouge()),
    ):
        found, expected = ours.compute_score(gts, res), theirs.compute_score(gts, res)
        assert type(found) is tuple
        for ours_part, theirs_part in zip(found, expected, strict=True):
            assert type(ours_part) is type(theirs_part)
            assert np.shape(ours_part) == np.shape(theirs_part)
            assert np.abs(np.array(ours_part) - np.array(theirs_part)).max() <= 1e-12
        assert ours.method() == theirs.method()


def test_types_and_orders_of_meteor_and_spice(fakecap: Any) -> None:
    """What the originals return without Java's help: documented by their wrappers' last lines."""
    rows = fakecap.content["tokenized"][:3]
    gts = {key: row["references"] for key, row in zip((30, 4, 200), rows, strict=True)}
    res = {key: [row["candidate"]] for key, row in zip((200, 4, 30), rows[::-1], strict=True)}
    score, scores = Meteor().compute_score(gts, res)
    assert type(score) is float and type(scores) is list and type(scores[0]) is float
    assert scores == pytest.approx(fakecap.content["per_image"]["METEOR"][:3], abs=1e-12)
    mean, pictures = Spice().compute_score(gts, res)
    assert type(mean) is np.float64 and type(pictures) is list and len(pictures) == 3
    categories = {"All", "Relation", "Cardinality", "Attribute", "Size", "Color", "Object"}
    assert all(set(picture) == categories for picture in pictures)
    assert mean == pytest.approx(np.mean([picture["All"]["f"] for picture in pictures]))
    alone = [Spice().compute_score({k: gts[k]}, {k: res[k]})[1][0]["All"] for k in (4, 30, 200)]
    assert [picture["All"] for picture in pictures] == alone  # ids sorted, not in gts' order


def test_a_caption_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = {n: [{"caption": f"The caption {n} of this test, once."}] for n in range(3)}
    first = PTBTokenizer().tokenize(captions)
    assert first[2] == ["the caption 2 of this test once"]

    def again(*_: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr("miacap.text.tokenize", again)
    assert PTBTokenizer().tokenize(captions) == first


@pytest.mark.parametrize("option", ["closest", "shortest", "average", None])
def test_bleu_scorers_options(option: str | None) -> None:
    original = pytest.importorskip("pycocoevalcap.bleu.bleu_scorer")
    pairs = [("a cat sat", ["a cat", "the cat sat down here"]), ("a dog", ["dogs run"])]
    for some in (pairs, pairs[:1]):
        found = []
        for kind in (BleuScorer, original.BleuScorer):
            scorer = kind(n=4)
            for pair in some:
                scorer += pair
            found.append(scorer.compute_score(option=option))
        assert found[0][0] == pytest.approx(found[1][0], abs=1e-12)
        assert np.allclose(found[0][1], found[1][1], atol=1e-12)
    with pytest.raises(DataError, match="closest, shortest or average"):
        BleuScorer("a", ["b"]).compute_score(option="longest")


def test_scorers_add_up() -> None:
    both, rest = CiderScorer("a b", ["a b"]), CiderScorer("c d", ["c d"])
    both += rest
    assert both.size() == 2
    score, scores = both.compute_score()
    assert score == pytest.approx(5) and scores.tolist() == pytest.approx([5, 5])
    bleu = BleuScorer("a", ["a"])
    bleu += BleuScorer("b", ["b"])
    assert bleu.size() == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="1 id is only in gts or only in res: 2"):
        Rouge().compute_score({1: ["a"], 2: ["b"]}, {1: ["a"]})
    with pytest.raises(DataError, match=r"res\[1\] must be a list of one sentence"):
        Cider().compute_score({1: ["a"]}, {1: ["a", "b"]})
    with pytest.raises(DataError, match=r"gts\[1\] must be a list of sentences"):
        Bleu().compute_score({1: []}, {1: ["a"]})
    with pytest.raises(DataError, match=r"gts\[1\] must be a list of sentences, not \[3\]"):
        Meteor().compute_score({1: [3]}, {1: ["a"]})  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"res\[1\] must be a list of one sentence, not \[None\]"):
        Spice().compute_score({1: ["a"]}, {1: [None]})  # type: ignore[list-item]


@pytest.mark.parametrize("scorer", [Bleu, Cider, Rouge, Meteor, Spice])
def test_no_picture_is_no_score(scorer: Any) -> None:
    with pytest.raises(DataError, match="there is nothing to score"):
        scorer().compute_score({}, {})


@pytest.mark.parametrize("scorer", [BleuScorer, CiderScorer])
def test_no_pair_is_no_score(scorer: Any) -> None:
    with pytest.raises(DataError, match="there is nothing to score"):
        scorer().compute_score()


def test_line_breaks_never_shift_another_caption() -> None:
    found = PTBTokenizer().tokenize(
        {
            1: [{"caption": "A\nred\r\ndog."}],
            2: [{"caption": "Cats"}, {"caption": "x\u2028y"}],
            3: [],
        }
    )
    assert found == {1: ["a red dog"], 2: ["cats", "x y"]}


def test_a_missing_extra_is_said_and_the_rest_is_scored(
    files: tuple[Path, Path, list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def absent(*_: object) -> None:
        raise MissingExtra("meteor", "METEOR")

    monkeypatch.setattr(Meteor, "compute_score", absent)
    monkeypatch.setattr(Spice, "compute_score", absent)
    coco = COCO(files[0])
    evaluation = COCOEvalCap(coco, coco.loadRes(files[1]))
    evaluation.evaluate()
    assert "METEOR: left out. METEOR needs the extra [meteor]" in capsys.readouterr().out
    assert list(evaluation.eval) == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"]


def test_coco_by_hand(files: tuple[Path, Path, list[int]], tmp_path: Path) -> None:
    coco = COCO(files[0])
    first = files[2][0]
    assert coco.getImgIds() == files[2]
    numbers = coco.getAnnIds(imgIds=first)
    assert [a["image_id"] for a in coco.loadAnns(numbers)] == [first] * len(numbers)
    assert len(coco.getAnnIds()) == len(coco.anns)
    with pytest.raises(DataError, match="1 result is for unknown pictures: -1"):
        coco.loadRes([{"image_id": -1, "caption": "x"}])
    assert coco.loadImgs(first) == [{"id": first}]
    assert coco.getImgIds(imgIds=[files[2][2], first, -1]) == [first, files[2][2]]
    for wrong, message in (
        ({"a": 1}, "COCO results are a list of objects, not {'a': 1}"),
        ([{"caption": "x"}], "COCO result 1: expected an object with image_id and caption, got"),
        (["x"], "COCO result 1: expected an object with image_id and caption, got 'x'"),
    ):
        with pytest.raises(DataError, match=message):
            coco.loadRes(wrong)  # type: ignore[arg-type]
    coco.dataset = {"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "x"}]}
    with pytest.raises(DataError, match="COCO annotation 1: expected an object with id and image"):
        coco.createIndex()
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="COCO annotations are one object"):
        COCO(tmp_path / "list.json")
