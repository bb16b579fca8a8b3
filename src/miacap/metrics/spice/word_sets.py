"""Lists of words as text, which reads better than one word a line."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text, separated by blanks."""
    return frozenset(text.split())
