"""Cut a line into tokens: at each place the longest rule wins, among equals the first.

Patterns are compiled where a rule is first tried: all 110 take longer than most programs' captions.
"""

import re
from functools import cache, lru_cache

from miacap.text.rules import RULES, Rule

_NEEDS = tuple({rule.needs for rule in RULES if rule.needs})

# The official program sees UTF-16, where a character beyond U+FFFF is two, and drops both.
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_HALF = re.compile("[\ud800-\udfff]")


def scan(line: str, following: str = "") -> list[str]:
    """Give the tokens of one line, in lower case; a character that no rule knows is dropped.

    Args:
        line: the text to cut; half of a surrogate pair counts as U+FFFD.
        following: text after the line that rules may look at, and that is not cut.
    """
    text = _HALF.sub("\ufffd", line)
    beyond = _BEYOND.search(text) is not None
    if beyond:
        text = _BEYOND.sub(_halves, text)
    end = len(text)
    text += following
    lower = text.lower()
    absent = frozenset(needs for needs in _NEEDS if not any(one in lower for one in needs))
    tokens = []
    position = 0
    while position < end:
        rule, match = None, None
        longest = position
        for candidate, pattern in _candidates(text[position], absent):
            attempt = pattern.match(text, position)
            if attempt and attempt.end() > longest:
                rule, match, longest = candidate, attempt, attempt.end()
        if rule is None or match is None:
            position += 1
            continue
        token = match[1]
        position = match.end(1) - rule.period_again
        written = rule.rewrite(token) if rule.rewrite else token
        if written:
            tokens.append((_whole(written) if beyond else written).lower())
    return tokens


@lru_cache(maxsize=4096)
def _candidates(
    first: str, absent: frozenset[tuple[str, ...]]
) -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    """Give the rules, in order, that a token beginning with this character may follow."""
    return tuple(
        (rule, _compiled(rule.pattern))
        for rule in RULES
        if rule.needs not in absent and _compiled(f"[{rule.starts}]").match(first)
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _halves(match: re.Match[str]) -> str:
    number = ord(match[0]) - 0x10000
    return chr(0xD800 + (number >> 10)) + chr(0xDC00 + (number & 0x3FF))


def _whole(token: str) -> str:
    return token.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
