"""`COCOEvalCap` as in pycocoevalcap.eval, with the scorers' names beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from miacap import terminal
from miacap.errors import MissingExtra
from miacap.metrics.pycoco.bleu.bleu import Bleu
from miacap.metrics.pycoco.cider.cider import Cider
from miacap.metrics.pycoco.meteor.meteor import Meteor
from miacap.metrics.pycoco.rouge.rouge import Rouge
from miacap.metrics.pycoco.spice.spice import Spice
from miacap.metrics.pycoco.tokenizer.ptbtokenizer import PTBTokenizer

__all__ = ["Bleu", "COCOEvalCap", "Cider", "Meteor", "PTBTokenizer", "Rouge", "Spice"]


class Coco(Protocol):
    """What is needed of pycocotools' `COCO` (or `miacap.metrics.pycoco.coco.COCO`)."""

    imgToAnns: Mapping[Any, Sequence[Mapping[str, Any]]]

    def getImgIds(self) -> list[Any]:
        """Ids of all pictures."""
        ...


class COCOEvalCap:
    """Score results against annotations.

    Attributes:
        params: `image_id`, the ids to score; may be set before `evaluate`.
        eval: metric -> corpus score, after `evaluate`.
        imgToEval: id -> metric -> score.
        evalImgs: the values of `imgToEval`.
        parser: label of SPICE's parser.
    """

    def __init__(self, coco: Coco, cocoRes: Coco) -> None:
        self.evalImgs: list[dict[str, Any]] = []
        self.eval: dict[str, float] = {}
        self.imgToEval: dict[Any, dict[str, Any]] = {}
        self.coco = coco
        self.cocoRes = cocoRes
        self.params = {"image_id": coco.getImgIds()}
        self.parser = ""

    def evaluate(self) -> None:
        """Tokenise and compute every metric whose extra is installed; print as the original."""
        names = self.params["image_id"]
        terminal.result("tokenization...")
        tokenizer = PTBTokenizer()
        gts = tokenizer.tokenize({name: self.coco.imgToAnns[name] for name in names})
        res = tokenizer.tokenize({name: self.cocoRes.imgToAnns[name] for name in names})
        terminal.result("setting up scorers...")
        scorers: list[tuple[Any, list[str]]] = [
            (Bleu(4), ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"]),
            (Meteor(), ["METEOR"]),
            (Rouge(), ["ROUGE_L"]),
            (Cider(), ["CIDEr"]),
            (Spice(), ["SPICE"]),
        ]
        for scorer, methods in scorers:
            self._compute(scorer, methods, gts, res)
        self.setEvalImgs()

    def _compute(
        self,
        scorer: Any,
        methods: list[str],
        gts: Mapping[object, Sequence[str]],
        res: Mapping[object, Sequence[str]],
    ) -> None:
        terminal.result(f"computing {scorer.method()} score...")
        try:
            score, scores = scorer.compute_score(gts, res)
        except MissingExtra as error:
            terminal.result(f"{scorer.method()}: left out. {error}")
            return
        if len(methods) == 1:
            score, scores = [score], [scores]
        ids: Iterable[object] = gts.keys()
        if isinstance(scorer, Spice):
            self.parser = scorer.parser
            ids = sorted(gts.keys())  # type: ignore[type-var]
        for value, values, method in zip(score, scores, methods, strict=True):
            self.setEval(value, method)
            self.setImgToEvalImgs(values, ids, method)
            terminal.result(f"{method}: {value:0.3f}")

    def setEval(self, score: float, method: str) -> None:
        """Keep a corpus score."""
        self.eval[method] = score

    def setImgToEvalImgs(
        self,
        scores: Iterable[Any],
        imgIds: Iterable[Any],
        method: str,
    ) -> None:
        """Keep pictures' scores."""
        for name, score in zip(imgIds, scores, strict=True):
            self.imgToEval.setdefault(name, {"image_id": name})[method] = score

    def setEvalImgs(self) -> None:
        """List the pictures' scores."""
        self.evalImgs = list(self.imgToEval.values())
