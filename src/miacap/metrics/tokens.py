"""Captions -> tokenised sentences, remembered by content so that repeated calls are cheap."""

from collections.abc import Iterable

# About 100 MB of captions; then the memory starts anew.
_MOST = 500_000
_known: dict[str, str] = {}


def tokenised(captions: Iterable[str]) -> list[str]:
    """Tokenise each caption alone: lower case, PTB rules, no punctuation, joined by blanks."""
    from miacap.text import tokenize  # the rules are compiled when the first caption comes

    result = []
    for caption in captions:
        sentence = _known.get(caption)
        if sentence is None:
            if len(_known) >= _MOST:
                _known.clear()
            sentence = _known[caption] = " ".join(tokenize(caption))
        result.append(sentence)
    return result
