"""The two functions that search by settings: for the best caption, and for several."""

from collections.abc import Sequence

from miacap.captioners.contract import Captioner, M, S
from miacap.decoding.beams import beam
from miacap.decoding.hypotheses import Hypothesis
from miacap.decoding.rules import BlockRepeats, MinimumLength, Rule
from miacap.decoding.sampling import greedy
from miacap.decoding.settings import SearchSettings
from miacap.pictures import Pictures

__all__ = ["n_best", "rules_of", "search"]

_USUAL = SearchSettings()


def rules_of(settings: SearchSettings) -> tuple[Rule, ...]:
    """Give the rules on logits that settings ask for."""
    length = (MinimumLength(settings.minimum_words),) if settings.minimum_words else ()
    repeats = (BlockRepeats(settings.block_repeats),) if settings.block_repeats else ()
    return (*length, *repeats)


def search(
    captioner: Captioner[M, S],
    pictures: Pictures,
    settings: SearchSettings = _USUAL,
    rules: Sequence[Rule] = (),
) -> list[Hypothesis]:
    """Give the best caption of each picture.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode, no gradients.
        pictures: B of them, searched at once.
        settings: beam, lengths and the rules that can be written down.
        rules: more rules (words to forbid, bad endings), applied after those of the settings.

    Returns:
        One caption a picture. Its log-probability is the captioner's own: not normalised by
        length, not renormalised for forbidden words.

    Raises:
        SettingsError: a beam that memory does not hold, or rules that leave a picture no
            caption.
        RunError: the captioner's numbers are NaN or infinite.
    """
    every = (*rules_of(settings), *rules)
    if settings.beam == 1 and settings.length_penalty == 0:
        return greedy(captioner, pictures, settings.maximum_words, every)
    return [best[0] for best in n_best(captioner, pictures, 1, settings, rules)]


def n_best(
    captioner: Captioner[M, S],
    pictures: Pictures,
    best: int,
    settings: SearchSettings = _USUAL,
    rules: Sequence[Rule] = (),
) -> list[list[Hypothesis]]:
    """Give several captions of each picture, best first; see `beam`.

    Args:
        captioner: anything that fulfils the contract; searched in eval mode, no gradients.
        pictures: B of them, searched at once.
        best: how many captions; a beam that is narrower is widened to as many.
        settings: beam, lengths and the rules that can be written down.
        rules: more rules, applied after those of the settings.

    Raises:
        SettingsError: as `search`.
        RunError: the captioner's numbers are NaN or infinite.
    """
    return beam(
        captioner,
        pictures,
        width=max(settings.beam, best),
        maximum=settings.maximum_words,
        best=best,
        rules=(*rules_of(settings), *rules),
        length_penalty=settings.length_penalty,
    )
