"""Cut a line into tokens: at each place the longest rule wins, among equals the first."""

from miacap.text.rules import RULES


def scan(line: str) -> list[str]:
    """Give the tokens of one line, in lower case."""
    tokens = []
    position = 0
    rules = [rule for rule in RULES if not rule.needs or rule.needs in line]
    while position < len(line):
        best = None
        for rule in rules:
            match = rule.pattern.match(line, position)
            if match and (best is None or match.end() > best[1].end()):
                best = rule, match
        if best is None:
            position += 1
            continue
        rule, match = best
        token = match[1]
        position = match.end(1)
        if rule.back:
            position -= rule.back
            if len(token) == 2:
                token = token[:-1]
        if rule.rewrite:
            token = rule.rewrite(token)
        tokens.append(token.lower())
    return tokens
