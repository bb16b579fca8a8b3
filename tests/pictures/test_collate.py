"""Batches of pictures: ranking, padding, masks, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.errors import DataError, SettingsError
from miacap.pictures import Pictures, collate, count_unmapped
from miacap.text.vocabulary import PAD


def matrices(*counts: int, width: int = 3) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, width).half() for count in counts]


def test_regions_are_padded_and_become_single_precision() -> None:
    rows = matrices(2, 4)
    batch = collate(["a", "b"], rows)
    assert batch.regions.dtype == torch.float32
    assert batch.regions.shape == (2, 4, 3)
    assert torch.equal(batch.regions[0, :2], rows[0].float())
    assert torch.equal(batch.regions[1], rows[1].float())
    assert not batch.regions[0, 2:].any()
    assert batch.region_mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.concepts.shape == (2, 0)
    assert batch.concept_mask.dtype == torch.bool
    assert batch.concept_scores is None
    assert len(batch) == 2


def test_match_takes_as_many_concepts_as_regions() -> None:
    words = torch.tensor([10, 11, -1, 13, 14])
    scores = [
        torch.tensor([0.1, 0.9, 1.0, 0.5, 0.2]),
        torch.tensor([0.3, 0.1, 0.0, 0.3, 0.4]),
    ]
    batch = collate(["a", "b"], matrices(2, 3), scores=scores, concept_words=words)
    # Concept 2 is no caption word; in b, concepts 0 and 3 tie and go by index.
    assert batch.concepts.tolist() == [[11, 13, PAD], [14, 10, 13]]
    assert batch.concept_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.concept_scores is not None
    assert torch.equal(batch.concept_scores, torch.stack(scores))
    assert count_unmapped(words) == 1


def test_aligned_takes_the_same_number_everywhere() -> None:
    words = torch.arange(4, 64)
    scores = [torch.rand(60), torch.rand(60)]
    batch = collate(
        ["a", "b"], matrices(2, 3), scores=scores, concept_words=words, rows="aligned", concepts=5
    )
    assert batch.concepts.shape == (2, 5)
    assert batch.concept_mask.all()
    usual = collate(["a", "b"], matrices(2, 3), scores=scores, concept_words=words, rows="aligned")
    assert usual.concepts.shape == (2, 49)


def test_aligned_takes_all_where_there_are_fewer() -> None:
    batch = collate(
        ["a"],
        matrices(2),
        scores=[torch.tensor([0.1, 0.7])],
        concept_words=torch.tensor([4, 5]),
        rows="aligned",
    )
    assert batch.concepts.tolist() == [[5, 4]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.sampled_from([-1, 7, 8, 9]), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_ranking_equals_a_plain_sort(counts: list[int], words: list[int], random) -> None:  # type: ignore[no-untyped-def]
    scores = [[random.choice([0.0, 0.25, 0.5, 1.0]) for _ in words] for _ in counts]
    names = [str(place) for place in range(len(counts))]
    rankable = [index for index, word in enumerate(words) if word >= 0]

    def batch() -> Pictures:
        return collate(
            names,
            matrices(*counts),
            scores=[torch.tensor(row) for row in scores],
            concept_words=torch.tensor(words),
        )

    if max(counts) > len(rankable):
        with pytest.raises(DataError, match="aligned"):
            batch()
        return
    got = batch()
    for place, row in enumerate(scores):
        order = sorted(rankable, key=lambda index: (-row[index], index))[: counts[place]]
        expected = [words[index] for index in order]
        assert got.concepts[place, : counts[place]].tolist() == expected
        assert got.concepts[place, counts[place] :].eq(PAD).all()
        assert got.concept_mask[place].sum() == counts[place]


def lists(*rows: list[float], rule: str = "match", regions: int = 2) -> Pictures:
    """Two regions a picture, four concepts, the second of which is no caption word."""
    return collate(
        [str(index) for index in range(len(rows))],
        matrices(*[regions] * len(rows)),
        scores=[torch.tensor(row) for row in rows],
        concept_words=torch.tensor([10, -1, 12, 13]),
        rows=rule,  # type: ignore[arg-type]
        listed=True,
    )


def test_a_score_of_zero_in_a_list_means_not_listed() -> None:
    batch = lists([0.5, 1.0, 0.0, 0.0], [0.3, 0.0, 0.2, 0.9], rule="aligned")
    assert batch.concepts.tolist() == [[10, PAD, PAD], [13, 10, 12]]
    assert batch.concept_mask.tolist() == [[True, False, False], [True, True, True]]
    full = lists([0.5, 0.0, 0.2, 0.0])
    assert full.concepts.tolist() == [[10, 12]] and full.concept_mask.all()


def test_a_list_that_is_too_short_is_refused() -> None:
    with pytest.raises(DataError, match=r"'1' lists 1 caption word and has 2 regions; rows='ali"):
        lists([0.5, 0.0, 0.2, 0.0], [0.5, 1.0, 0.0, 0.0])
    with pytest.raises(DataError, match="'0' lists no word of the caption vocabulary"):
        lists([0.0, 1.0, 0.0, 0.0], rule="aligned")


def test_without_words_nothing_is_ranked_and_scores_are_kept_on_demand() -> None:
    scores = [torch.tensor([0.1, 0.9]), torch.tensor([0.2, 0.3])]
    batch = collate(["a", "b"], matrices(3, 3), scores=scores)
    assert batch.concepts.shape == (2, 0) and batch.concept_scores is not None
    assert torch.equal(batch.concept_scores, torch.stack(scores))
    words = torch.tensor([4, 5])
    some = collate(
        ["a", "b"], matrices(2, 2), scores=scores, concept_words=words, keep_scores=False
    )
    assert some.concept_scores is None and some.concepts.tolist() == [[5, 4], [5, 4]]


def test_boxes_travel_with_the_regions() -> None:
    boxes = [torch.rand(2, 4), torch.rand(3, 4)]
    batch = collate(["a", "b"], matrices(2, 3), boxes=boxes)
    assert batch.boxes is not None
    assert torch.equal(batch.boxes[0, :2], boxes[0])
    assert not batch.boxes[0, 2].any()


def test_select_and_to_carry_everything() -> None:
    batch = collate(
        ["a", "b", "c"],
        matrices(2, 3, 1),
        boxes=[torch.rand(k, 4) for k in (2, 3, 1)],
        scores=[torch.rand(9) for _ in range(3)],
        concept_words=torch.arange(4, 13),
    )
    chosen = batch.select([2, 0, 2]).to("cpu")
    assert chosen.names == ("c", "a", "c")
    assert torch.equal(chosen.regions, batch.regions[[2, 0, 2]])
    assert torch.equal(chosen.region_mask, batch.region_mask[[2, 0, 2]])
    assert torch.equal(chosen.concepts, batch.concepts[[2, 0, 2]])
    assert torch.equal(chosen.concept_mask, batch.concept_mask[[2, 0, 2]])
    assert chosen.boxes is not None and batch.boxes is not None
    assert torch.equal(chosen.boxes, batch.boxes[[2, 0, 2]])
    assert chosen.concept_scores is not None and batch.concept_scores is not None
    assert torch.equal(chosen.concept_scores, batch.concept_scores[[2, 0, 2]])
    assert len(batch.select(torch.zeros(0, dtype=torch.long))) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": []}, "at least one"),
        ({"names": ["a"]}, "1 picture but regions of 2"),
        ({"regions": [torch.zeros(2, 3), torch.zeros(0, 3)]}, r"'b': regions are a matrix"),
        ({"regions": [torch.zeros(2, 3), torch.zeros(2, 4)]}, "'b': regions are 4 wide.*'a' 3"),
        ({"regions": [torch.zeros(2, 3), torch.full((2, 3), torch.nan)]}, "'b': regions hold"),
        ({"boxes": [torch.zeros(2, 4), torch.zeros(1, 4)]}, r"'b': boxes of shape \(1, 4\)"),
        (
            {"scores": [torch.zeros(5), torch.zeros(4)]},
            "'b': concept scores of shape .* 5 concepts",
        ),
        (
            {"scores": [torch.zeros(5), torch.zeros(4)], "concept_words": torch.arange(5)},
            "'b': concept scores of shape .*another extractor",
        ),
        (
            {"scores": [torch.zeros(1), torch.full((1,), torch.inf)], "concept_words": [9]},
            "'b': concept scores hold",
        ),
        (
            {"scores": [torch.zeros(1), torch.zeros(1)], "concept_words": [9]},
            "2 regions but only 1 concept that is a caption word;.*rows='aligned'.*--set "
            "sizes.rows=aligned --set conc",
        ),
        (
            {
                "scores": [torch.zeros(1), torch.zeros(1)],
                "concept_words": [-1],
                "rows": "aligned",
            },
            "No concept is a caption word",
        ),
    ],
)
def test_what_cannot_be_a_batch_is_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "names": ["a", "b"],
        "regions": [torch.zeros(2, 3), torch.zeros(2, 3)],
    } | change
    if isinstance(arguments.get("concept_words"), list):
        arguments["concept_words"] = torch.tensor(arguments["concept_words"])
    with pytest.raises(DataError, match=message):
        collate(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "concepts"), [("match", 5), ("aligned", 0)])
def test_a_number_of_concepts_goes_with_aligned(rows: str, concepts: int) -> None:
    with pytest.raises(SettingsError, match="rows='aligned'"):
        collate(["a"], matrices(2), rows=rows, concepts=concepts)  # type: ignore[arg-type]


def test_pad_is_the_one_of_text() -> None:
    from miacap import pictures

    assert pictures._PAD == PAD
