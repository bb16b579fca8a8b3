"""The record of a look equals plain loops: words, attention, refiner, hidden regions."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from miacap import captioning, explain, runs
from miacap.captioning.inputs import concept_words
from miacap.explain import Look, Looker
from miacap.explain.record import END, evenness
from miacap.pictures import Pictures, collate

SMALL = {"heads": 2, "inner": 12}


def spoken(looker: Looker, look: Look, pictures: Pictures) -> list[float]:
    """Log-probability of each word of a caption, a step at a time."""
    captioner: Any = looker.captioner
    names = ("<pad>", "<bos>", "<eos>", "<unk>", *looker.run.vocabulary.words)
    told = []
    with torch.inference_mode():
        memory = captioner.encode(pictures)
        state, before = captioner.start(memory), 1
        for word in look.words:
            logits, state = captioner.step(memory, state, torch.tensor([[before]]))
            before = names.index(word.text)
            scores = logits[0, 0].double()
            told.append(float(scores[before] - scores.exp().sum().log()))
    return told


def picture(looker: Looker, rows: Tensor, words: list[int] | None = None) -> Pictures:
    """A picture of these rows, with these concepts."""
    count = 0 if words is None else len(words)
    extractor = looker.run.extractor("cpu")
    scores = None
    if extractor is not None:
        scores = explain.looking.heat(extractor, looker.inputs.regions.rows)  # type: ignore
        scores = 1 - (1 - scores.double()).prod(0).float()
    return Pictures(
        rows[None], torch.ones(1, len(rows), dtype=torch.bool),
        torch.tensor([words or []], dtype=torch.long), torch.ones(1, count, dtype=torch.bool),
        ("p",), None if scores is None else scores[None],
    )  # fmt: skip


def ranked(looker: Looker, count: int) -> list[int]:
    """Ids of the most probable concepts that are caption words."""
    extractor = looker.run.extractor("cpu")
    assert extractor is not None
    belief = explain.looking.heat(extractor, looker.inputs.regions.rows)  # type: ignore
    scores = [1 - math.prod(1 - float(p) for p in column) for column in belief.T]
    words = concept_words(looker.run.vocabulary, extractor.words).tolist()
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    return [words[index] for index in order if words[index] >= 0][:count]


def rolled(trace: Any, stream: str, count: int) -> list[list[list[float]]]:
    """S_0 .. S_N in plain loops."""
    current = [[float(i == j) for j in range(count)] for i in range(count)]
    every = [current]
    for step in (step for step in trace if step.stream == stream):
        heads = step.weights[0].tolist()
        rows, keys = len(heads[0]), len(heads[0][0])
        after = []
        for i in range(rows):
            row = []
            for j in range(count):
                total = 0.0
                for k in range(keys):
                    weight = sum(head[i][k] for head in heads) / len(heads)
                    if step.residuals:
                        weight = 0.5 * weight + 0.5 * (i == k)
                    total += weight * current[k][j]
                row.append(total)
            after.append(row)
        current = after
        every.append(current)
    return every


def test_words_attention_and_iterations_equal_plain_loops(tiny: ModuleType, tmp_path: Path) -> None:
    looker = Looker(tiny.run(tmp_path / "r", iterations=3, **SMALL), device="cpu")
    look = looker.look(tiny.PHOTO)
    rows = looker.inputs.regions.rows  # type: ignore[union-attr]
    pictures = picture(looker, rows, ranked(looker, 6))
    ids = [1, *(looker.run.vocabulary.id(word.text) for word in look.words)]
    ids = ids[:-1]
    with torch.inference_mode():
        _, trace = looker.captioner(pictures, torch.tensor([[ids]]), trace=True)
    assert [w.log_probability for w in look.words] == pytest.approx(
        spoken(looker, look, pictures), abs=1e-5
    )
    (attended,) = look.attended
    weights = trace.attentions["rows"].weights[0, 0]
    assert attended.over == "pairs" and look.iterations == 3
    np.testing.assert_allclose(attended.weights, weights, atol=1e-6)
    assert np.abs(attended.weights[0] - attended.weights[1]).max() > 1e-3  # words differ
    assert look.refinement is not None
    for stream, views, matrices in (
        ("regions", attended.on_regions, look.refinement.regions),
        ("concepts", attended.on_concepts, look.refinement.concepts),
    ):
        wanted = rolled(trace.refiner, stream, 6)
        assert len(wanted) == len(matrices) == len(views) == 4
        for matrix, view, loops in zip(matrices, views, wanted, strict=True):
            np.testing.assert_allclose(matrix, loops, atol=1e-5)
            shares = [
                [sum(float(w[i]) * loops[i][j] for i in range(6)) for j in range(6)]
                for w in weights
            ]
            np.testing.assert_allclose(view, shares, atol=1e-5)


def test_the_caption_is_that_of_captioning(tiny: ModuleType, tmp_path: Path) -> None:
    folder = tiny.run(tmp_path / "r", "up-down", **SMALL)
    look = explain.look(folder, tiny.PHOTO, hide=False, device="cpu")
    row = next(captioning.load(folder, device="cpu").rows([tiny.PHOTO]))
    assert (look.caption, look.hidden) == (row.caption, None)
    assert look.log_probability == pytest.approx(row.log_probability, abs=1e-5)
    for word in look.words:
        best = [log for _, log in word.alternatives]
        assert best == sorted(best, reverse=True) and max(best) >= word.log_probability - 1e-6
        assert dict(word.alternatives).get(word.text, word.log_probability) == pytest.approx(
            word.log_probability, abs=1e-5
        )


def test_a_region_is_hidden_and_the_other_pairs_stay(tiny: ModuleType, tmp_path: Path) -> None:
    """The picture is made anew without the region; the caption is read again step by step."""
    looker = Looker(tiny.run(tmp_path / "r", **SMALL), device="cpu")
    look = looker.look(tiny.PHOTO)
    rows = looker.inputs.regions.rows  # type: ignore[union-attr]
    words = ranked(looker, 6)
    assert look.hidden is not None and look.hidden.changes.shape == (6, len(look.words))
    before = spoken(looker, look, picture(looker, rows, words))
    for region in range(6):
        pairs = list(zip(rows, words, strict=True))
        last, _ = pairs.pop()
        if region < 5:
            pairs[region] = (last, words[region])
        without = picture(looker, torch.stack([r for r, _ in pairs]), [w for _, w in pairs])
        after = spoken(looker, look, without)
        changes = [a - b for a, b in zip(after, before, strict=True)]
        assert look.hidden.changes[region].tolist() == pytest.approx(changes, abs=1e-5)
    assert np.abs(look.hidden.changes).max() > 1e-3
    assert "least probable concept" in look.hidden.with_it


@pytest.mark.parametrize(
    ("captioner", "source", "sizes"),
    [
        ("spatial-attention", "plain", {}),
        ("nic", "plain", {}),
        ("up-down", "regions", {"rows": "aligned", "concepts": 3, **SMALL}),
        ("transformer", "both", {"rows": "aligned", "concepts": 3, "layer_heads": 2,
                                 "layer_inner": 12, **SMALL}),
    ],
)  # fmt: skip
def test_hiding_equals_captioning_the_picture_with_the_region_removed(
    tiny: ModuleType, tmp_path: Path, captioner: str, source: str, sizes: dict[str, Any]
) -> None:
    """Where regions and concepts are no pairs, `collate` makes the picture without the region."""
    looker = Looker(tiny.run(tmp_path / "r", captioner, source, **sizes), device="cpu")
    look = looker.look(tiny.PHOTO)
    rows = looker.inputs.regions.rows  # type: ignore[union-attr]
    words = ranked(looker, 3) if "concepts" in looker.run.reads else None
    assert look.hidden is not None and look.hidden.with_it == ""
    before = spoken(looker, look, picture(looker, rows, words))
    for region in range(6):
        fewer = [row for index, row in enumerate(rows) if index != region]
        made = collate(["p"], [torch.stack(fewer)])
        after = spoken(looker, look, picture(looker, made.regions[0], words))
        changes = [a - b for a, b in zip(after, before, strict=True)]
        assert look.hidden.changes[region].tolist() == pytest.approx(changes, abs=1e-5)


def test_on_the_concepts_rows_regions_have_no_map_before_they_were_read(
    tiny: ModuleType, tmp_path: Path
) -> None:
    folder = tiny.run(tmp_path / "r", rows="aligned", concepts=3, **SMALL)
    look = explain.look(folder, tiny.PHOTO, device="cpu")
    (attended,) = look.attended
    assert attended.weights.shape[1] == 3 and attended.on_regions[0] is None
    for view in attended.on_regions[1:]:
        assert view is not None and view.shape == (len(look.words), 6)
        np.testing.assert_allclose(view.sum(1), 1, atol=1e-5)
    assert [view is not None and view.shape[1] for view in attended.on_concepts] == [3, 3, 3]


@pytest.mark.parametrize(
    ("source", "rows", "regions", "concepts"),
    [("regions", "match", 6, 0), ("regions", "aligned", 6, 0), ("plain", "match", 6, 0),
     ("concatenated", "aligned", 6, 3), ("both", "aligned", 6, 3), ("both", "match", 6, 6)],
)  # fmt: skip
def test_attention_is_shown_over_what_the_rows_hold(
    tiny: ModuleType, tmp_path: Path, source: str, rows: str, regions: int, concepts: int
) -> None:
    more = {"concepts": 3} if rows == "aligned" else {}
    folder = tiny.run(tmp_path / "r", "spatial-attention", source, rows=rows, **SMALL, **more)
    look = explain.look(folder, tiny.PHOTO, device="cpu")
    (attended,) = look.attended
    last = [views[-1] if views else None for views in (attended.on_regions, attended.on_concepts)]
    widths = [0 if view is None else view.shape[1] for view in last]
    assert widths == [regions, concepts]
    total = sum(view.sum(1) for view in last if view is not None)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert look.iterations == (0 if source in ("plain", "concatenated") else 2)


def test_attention_over_concepts_has_no_map_of_regions(tiny: ModuleType, tmp_path: Path) -> None:
    look = explain.look(tiny.run(tmp_path / "r", "att-fcn", "plain"), tiny.PHOTO, device="cpu")
    assert {attended.over for attended in look.attended} == {"concepts"}
    assert all(attended.on_regions == () for attended in look.attended)
    assert len(look.concepts) == 6


def test_what_a_captioner_has_not_is_said(tiny: ModuleType, tmp_path: Path) -> None:
    nic = explain.look(tiny.run(tmp_path / "n", "nic", "plain"), tiny.PHOTO, device="cpu")
    assert nic.attended == () and nic.concepts == () and nic.hidden is not None
    said = " ".join(nic.notes)
    assert "no attention" in said and "no refiner" in said and "no concepts" in said
    words = tiny.run(tmp_path / "c", "concept-attention", "plain")
    assert "regions" not in runs.load(words).reads
    alone = explain.look(words, tiny.PHOTO, device="cpu")
    assert alone.hidden is None and "no region is hidden" in " ".join(alone.notes)


def test_an_ensemble_shows_each_attention_and_says_what_it_lacks(
    tiny: ModuleType, tmp_path: Path
) -> None:
    folders = [tiny.run(tmp_path / f"r{seed}", seed=seed, **SMALL) for seed in (0, 1)]
    look = explain.look(folders, tiny.PHOTO, device="cpu")
    assert [attended.name for attended in look.attended] == ["1: rows", "2: rows"]
    assert look.runs == ("r0", "r1") and look.refinement is None
    assert "ensemble of 2 runs" in look.notes[0]
    for attended in look.attended:  # row i is region i and concept i
        np.testing.assert_array_equal(attended.on_regions[0], attended.weights)
        np.testing.assert_array_equal(attended.on_concepts[0], attended.weights)


def test_many_heads_have_a_mean(tiny: ModuleType, tmp_path: Path) -> None:
    sizes = {"layers": 3, "layer_heads": 2, "layer_inner": 12}
    folder = tiny.run(tmp_path / "r", "transformer", "plain", **sizes)
    look = explain.look(folder, tiny.PHOTO, device="cpu")
    mean, *heads = look.attended
    assert mean.name == "mean of all 6" and len(heads) == 6
    np.testing.assert_allclose(mean.weights, sum(h.weights for h in heads) / 6, atol=1e-6)


def test_concepts_have_their_probability_and_where_they_were_believed_in(
    tiny: ModuleType, tmp_path: Path
) -> None:
    look = explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, device="cpu")
    assert "wolf" not in [concept.word for concept in look.concepts]
    for concept in look.concepts:
        assert concept.belief is not None
        joint = 1 - math.prod(1 - float(belief) for belief in concept.belief)
        assert concept.probability == pytest.approx(joint, abs=1e-3)
    told = [concept.probability for concept in look.concepts]
    assert told == sorted(told, reverse=True)


def test_a_record_travels_as_json(tiny: ModuleType, tmp_path: Path) -> None:
    look = explain.look(tiny.run(tmp_path / "r", **SMALL), tiny.PHOTO, device="cpu")
    tree = json.loads(json.dumps(look.to_json(), allow_nan=False))
    assert tree["regions"][4] == "row 2, column 2" and "jpeg" not in tree["photo"]
    weights = np.array(tree["attended"][0]["weights"], dtype=np.float32)
    np.testing.assert_array_equal(weights, look.attended[0].weights)


def test_boxes_have_names_that_say_where_they_lie(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.1, 0.2, 0.5, 0.6], [0.3, 0, 0.4, 1]])
    monkeypatch.setattr(tiny.MadeUp, "boxes", boxes)
    folder = tiny.run(tmp_path / "r", "spatial-attention", "plain")
    look = explain.look(folder, tiny.PHOTO, device="cpu")
    assert look.columns == 0 and look.region_name(0) == "the whole photo"
    assert look.region_name(1) == "box 2: 10-50 % across, 20-60 % down"


def test_evenness_is_entropy_by_that_of_equal_shares() -> None:
    weights = np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0], [2, 2, 2, 2]], np.float32)
    assert evenness(weights).tolist() == pytest.approx([1, 0, 0.5, 1])
    assert evenness(np.ones((1, 1), np.float32)).tolist() == [0]
    shares = np.array([0.7, 0.1, 0.15, 0.05], np.float32)
    loops = -sum(float(p) * math.log(float(p)) for p in shares) / math.log(4)
    assert float(evenness(shares)) == pytest.approx(loops)


def test_the_end_of_a_caption_is_a_word_of_its_own(tiny: ModuleType, tmp_path: Path) -> None:
    assert END == "<eos>"
    for seed in range(3):
        folder = tiny.run(tmp_path / str(seed), "spatial-attention", "plain", seed=seed)
        look = explain.look(folder, tiny.PHOTO, device="cpu")
        words = [word.text for word in look.words]
        assert END not in words[:-1] and (words[-1] == END or len(words) == 7)


def test_cells_before_a_detectors_boxes_are_called_by_row_and_column(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.5, 0.6], [0.0, 0.5, 0.33, 1.0]])
    monkeypatch.setattr(tiny.MadeUp, "boxes", torch.cat([tiny.grid(2, 3), boxes]))
    run = tiny.run(tmp_path / "r", "spatial-attention", "plain")
    look = explain.look(run, tiny.PHOTO, hide=False, device="cpu")
    assert look.columns == 0
    assert [look.region_name(index) for index in range(9)] == [
        "row 1, column 1", "row 1, column 2", "row 1, column 3",
        "row 2, column 1", "row 2, column 2", "row 2, column 3",
        "the whole photo", "box 8: 10-50 % across, 20-60 % down",
        "box 9: 0-33 % across, 50-100 % down",
    ]  # fmt: skip
    alone = replace(look, boxes=boxes.numpy())
    assert alone.region_name(2) == "box 3: 0-33 % across, 50-100 % down"
    shares_a_row = replace(look, boxes=boxes[[0, 0, 1, 1]].numpy())
    assert shares_a_row.region_name(2) == "box 3: 10-50 % across, 20-60 % down"
