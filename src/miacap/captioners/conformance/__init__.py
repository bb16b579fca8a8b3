"""What every captioner must do, as a stream of checks that anyone can run over theirs.

    @pytest.mark.parametrize("check", conformance.checks("mine", width=16), ids=str)
    def test_mine_conforms(check):
        check()

A check raises AssertionError with a sentence. Captioners are built tiny and, so that sums in
another order do not matter, in double precision; the pictures have unequal numbers of rows.
"""

from collections.abc import Callable, Iterator
from typing import Any

from miacap.captioners.conformance import learning, looking, words
from miacap.captioners.conformance.check import Check
from miacap.captioners.conformance.drawing import (
    CONCEPTS,
    REGION_WIDTH,
    WORDS,
    some_pictures,
    some_words,
)
from miacap.captioners.registry import sources

__all__ = ["CONCEPTS", "REGION_WIDTH", "WORDS", "Check", "checks", "some_pictures", "some_words"]


def checks(name: str, **sizes: Any) -> Iterator[Check]:
    """Give every check of a registered captioner, source by source.

    Args:
        name: a registered name.
        sizes: small ones, e.g. width=16, for speed.
    """
    for source in sources(name):
        for what, test in _CHECKS.items():
            yield Check(name, source, what, test, tuple(sizes.items()))


_CHECKS: dict[str, Callable[[Check], None]] = {
    "contract": words.fulfils_the_contract,
    "forward-is-steps": words.forward_equals_steps,
    "no-later-word": words.words_see_no_later_word,
    "alone": words.pictures_stand_alone,
    "padding": words.padding_holds_anything,
    "picture-matters": words.the_picture_matters,
    "reorder": words.hypotheses_reorder,
    "select": words.pictures_leave,
    "gradients": learning.gradients_arrive,
    "dropout": learning.dropout_is_for_training,
    "saved": learning.saved_is_loaded,
    "trace": looking.traces_are_shares,
    "half-precision": learning.half_precision_is_close,
    "reads": looking.what_is_read_moves_the_logits,
    "regulariser": learning.a_regulariser_costs_what_is_predicted,
}
