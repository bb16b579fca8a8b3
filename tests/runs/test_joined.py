"""Several runs as one: whose settings hold, and what every pair of them must share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from miacap import captioners
from miacap.concepts import ConceptSource
from miacap.data import Preprocessing
from miacap.errors import RunError
from miacap.runs import Run, RunSettings, join
from miacap.text import Vocabulary

WORDS = Vocabulary(["a", "cat", "dog"])
PREPARED = Preprocessing("made-up", "0" * 64)
LISTS = ConceptSource(("cat", "dog"), "lists", "1" * 64, "ranks", "lists.json")
SIZES = {"width": 8, "heads": 2, "inner": 8}


def a_run(name: str, captioner: str = "nic", source: str = "plain", **more: Any) -> Run:
    """A run that lies in no folder; its weights are never asked for."""
    reads = captioners.reads(captioner, source, **more.get("sizes", {}))
    values = {"sizes": SIZES, "region_width": 6} | more
    concepts = None if reads == {"regions"} else LISTS
    settings = RunSettings(captioner, source, **values)
    return Run(Path(name), settings, WORDS, PREPARED, concepts)


PLAIN = a_run("plain", beam=2, maximum_words=7)
FED = a_run("fed", "spatial-attention", "combined", sizes={**SIZES, "rows": "aligned"},
            concepts=3, beam=5, maximum_words=9)  # fmt: skip
SCORED = a_run("scored", "lstm-a3", "plain", concepts=3,
               sizes={"width": 8, "rows": "aligned", "concept_input": "probabilities",
                      "concepts": 2})  # fmt: skip


@pytest.mark.parametrize("order", [(PLAIN, FED), (FED, PLAIN)])
def test_concepts_are_those_of_the_run_that_reads_them_and_the_search_the_firsts(
    order: tuple[Run, ...],
) -> None:
    joined = join(order)
    assert joined.concepts == LISTS and joined.rows == "aligned"
    assert joined.settings.concepts == 3
    assert joined.settings.search == order[0].settings.search
    assert joined.folder == order[0].folder
    assert joined.reads == {"regions", "concepts"}


def test_what_any_member_reads_is_read() -> None:
    assert join([PLAIN, SCORED]).reads == {"regions", "scores"}
    assert join([SCORED, FED]).reads == {"regions", "scores", "concepts"}
    assert join([PLAIN]).reads == {"regions"} and join([PLAIN]).concepts is None


def but(run: Run, **settings: Any) -> Run:
    return replace(run, folder=Path("other"), settings=replace(run.settings, **settings))


OTHERS = {
    "word 1 is 'cat' and 'dog'": replace(FED, vocabulary=Vocabulary(["a", "dog", "cat"])),
    "3 and 4 words; word 3 is none and 'owl'": replace(
        FED, vocabulary=Vocabulary(["a", "cat", "dog", "owl"])
    ),
    "size 224 and 320": replace(FED, preprocessing=replace(PREPARED, size=320)),
    r"their files \(SHA-256 1{12} and 2{12}\)": replace(
        FED, concepts=replace(LISTS, checksum="2" * 64)
    ),
    r"their concept words \(2 and 1\)": replace(FED, concepts=replace(LISTS, words=("cat",))),
    "concepts=3 and rows=aligned, concepts=4": but(FED, concepts=4),
}


@pytest.mark.parametrize("others", range(3))
@pytest.mark.parametrize("message", OTHERS)
def test_each_of_several_agrees_with_the_first(others: int, message: str) -> None:
    """Wherever it stands: runs that agree, and runs that read no concepts, may come between."""
    between = [PLAIN, FED][:others]
    with pytest.raises(RunError, match=f"cannot be averaged: .*{message}"):
        join([FED, *between, OTHERS[message]])


def test_the_ensemble_is_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def captioner(self: Run, device: object = "auto") -> nn.Module:
        return nn.Dropout(0.5).eval()

    monkeypatch.setattr(Run, "captioner", captioner)
    ensemble = join([PLAIN, FED]).captioner()
    assert [part.training for part in ensemble.modules()] == [False] * 4
