"""Cut a line into tokens: at each place the longest rule wins, among equals the first."""

import re
from functools import lru_cache

from miacap.text.rules import RULES, Rule

_STARTS = tuple((re.compile(f"[{rule.starts}]"), rule) for rule in RULES)


@lru_cache(maxsize=4096)
def _candidates(first: str) -> tuple[Rule, ...]:
    """Give the rules that a token beginning with this character may follow, in order."""
    return tuple(rule for starts, rule in _STARTS if starts.match(first))


def scan(line: str) -> list[str]:
    """Give the tokens of one line, in lower case; a character that no rule knows is dropped."""
    tokens = []
    position, end = 0, len(line)
    while position < end:
        if line[position] == " ":
            position += 1
            continue
        rule, match = None, None
        longest = position
        for candidate in _candidates(line[position]):
            if candidate.needs and candidate.needs not in line:
                continue
            found = candidate.pattern.match(line, position)
            if found and found.end() > longest:
                rule, match, longest = candidate, found, found.end()
        if rule is None or match is None:
            position += 1
            continue
        token = match[1]
        position = match.end(1) - rule.period_again
        tokens.append((rule.rewrite(token) if rule.rewrite else token).lower())
    return tokens
