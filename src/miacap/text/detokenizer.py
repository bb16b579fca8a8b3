"""Tokens to a sentence for people."""

from collections.abc import Sequence

_JOINED_LEFT = {"'s", "'m", "'d", "'re", "'ve", "'ll", "n't", ",", ".", ";", ":", "?", "!", "%"}


def detokenize(tokens: Sequence[str]) -> str:
    """Give a sentence with a capital and a full stop; no tokens give an empty string."""
    if not tokens:
        return ""
    sentence = tokens[0]
    for token in tokens[1:]:
        sentence += token if token in _JOINED_LEFT else f" {token}"
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
