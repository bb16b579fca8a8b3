"""Building blocks of the tokenizer's rules: letters, words, numbers, addresses, tags."""

import re

from miacap.text.characters import DIGITS, LETTERS, MARKS, UPPER


def any_case(pattern: str) -> str:
    """Let ASCII letters match in either case; k must not match the Kelvin sign, so ASCII only."""
    return f"(?ai:{pattern})"


def _both_cases(match: re.Match[str]) -> str:
    letter = match[0]
    return letter if letter[0] == "[" else f"[{letter}{letter.upper()}]"


def words(alternatives: str) -> str:
    """Let words match in either case, bracketed classes as written; longer words come first."""
    parts = sorted(alternatives.split("|"), key=len, reverse=True)
    folded = "|".join(re.sub(r"\[[^]]*\]|[a-z]", _both_cases, part) for part in parts)
    return f"(?:{folded})"


BLANKS = r" \t\u00a0\u2000-\u200a\u3000"
BLANK = f"[{BLANKS}]"
BREAKS = rf"{BLANKS}\n\v\f\r\u0085\u2028\u2029"
ANY_BLANK = f"[{BREAKS}]"

# Apostrophes of clitics; the wider set also holds what people type for one.
APOSTROPHES = r"'\u0092\u2019"
APOSTROPHE = rf"(?:[{APOSTROPHES}]|&{any_case('apos')};)"
ANY_APOSTROPHE = rf"(?:{APOSTROPHE}|[`\u0091\u2018\u201b])"
CLITIC = rf"{APOSTROPHE}(?:[msdMSD]|{any_case('re|ve|ll')})"

# A letter may be an entity, and words may hold soft hyphens and combining marks.
LETTER = rf"(?:[{LETTERS}{MARKS}\u00ad]|&[aeiouAEIOU]{any_case('acute|grave|uml')};)"
DIGIT = f"[{DIGITS}]"
LETTER_OR_DIGIT = (
    rf"(?:[{LETTERS}{DIGITS}{MARKS}\u00ad]|&[aeiouAEIOU]{any_case('acute|grave|uml')};)"
)
PLAIN = f"[{LETTERS}{DIGITS}]"
WORD = rf"{LETTER}{LETTER_OR_DIGIT}*(?:[.!?]{LETTER}{LETTER_OR_DIGIT}*)*"

HYPHEN = r"[-_\u058a\u2010\u2011]"
_ELISION = rf"(?:[dDoOlL]{ANY_APOSTROPHE}(?={PLAIN}{{2}}))?"
HYPHENATED_PLAIN = rf"{PLAIN}+(?:{HYPHEN}{PLAIN}+)*"
HYPHENATED = rf"{_ELISION}{PLAIN}+(?:{HYPHEN}{_ELISION}{PLAIN}+)*"
_SIDE = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
SLASHED = rf"{_SIDE}(?:\\?/{_SIDE}){{1,2}}"
INITIALS = r"[A-Za-z](?:\.[A-Za-z])+"
COMPOUND = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]{{0,255}}(?:-(?:{INITIALS}\.|[A-Za-z0-9\u00ad]+))+"
# The entity first: in AT&AMP;T the bare ampersand would match too, and stop at the semicolon.
CAPITALS_JOINED = rf"[A-Z]+(?:(?:&{any_case('amp')};|[+&])[A-Z]+)+"

FILE = rf"{LETTER_OR_DIGIT}+(?:\.{LETTER_OR_DIGIT}+){{0,63}}\." + words(
    "bat|bmp|c|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|ps|py"
    "|sql|tar|txt|wav|x|xml|zip"
)

NUMBER = rf"(?:{DIGIT}*(?:[.:,\u00ad\u066b\u066c]{DIGIT}+)+|{DIGIT}+)"
SIGNED = rf"[-+]?{NUMBER}"
DATE = rf"{DIGIT}{{1,2}}[-/]{DIGIT}{{1,2}}[-/]{DIGIT}{{2,4}}"
FRACTION = rf"(?:{DIGIT}{{1,4}}[- \u00a0])?{DIGIT}{{1,4}}(?:\\?/|\u2044){DIGIT}{{1,4}}"
SUPERSCRIPT = (
    r"[\u207a\u207b\u208a\u208b]?(?:[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"
)
PHONE = (
    r"(?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}"
)

_URL_BODY = r"[^ \t\n\f\r\"<>|()]"
_URL_END = r"[^ \t\n\f\r\"<>|.!?(){},\-]"
_PATH = rf"/{_URL_BODY}+{_URL_END}"
FULL_URL = rf"{any_case('https?')}://[^ \t\n\f\r\"<>|(){{}}]+{_URL_END}"
# Lengths are bounded, far beyond real addresses, so that no text takes more than linear time.
WWW = rf"{any_case('www')}\.(?:[^ \t\n\f\r\"<>|.!?(){{}},]{{1,255}}\.){{1,63}}[a-zA-Z]{{2,4}}"
# A rule of its own: a label may hold the path's first slash, and would hide the longer match.
WWW_WITH_PATH = WWW + _PATH
# The official class holds the range from comma to underscore, hence neither digits nor capitals.
_LABEL = r"[^ \t\n\f\r\"`'<>|.!?(){},-_$]{1,255}"
DOMAIN = rf"(?:{_LABEL}\.){{1,63}}{any_case('com|net|org|edu')}(?:{_PATH})?"
_MAIL = r" \t\n\f\r\"<>|(){}\u00a0"
EMAIL = (
    rf"(?:&{any_case('lt')};|<)?[a-zA-Z0-9][^{_MAIL}]{{0,255}}@"
    rf"(?:[^{_MAIL}.]{{1,255}}\.){{0,63}}[^{_MAIL}.]+(?:&{any_case('gt')};|>)?"
)

_NAME = r"[A-Za-z][A-Za-z0-9_:.-]*"
_VALUE = r"(?:'[^'\r\n]*'|\"[^\"\r\n]*\")"
_ATTRIBUTES = rf"(?: +(?:{_NAME} *= *{_VALUE}|{_NAME}))* *(?:/ *)?"
TAG = rf"<(?:[!?][A-Za-z-][^>\r\n]*|/{_NAME} *|{_NAME}{_ATTRIBUTES})>"

# What ends a sentence after an abbreviation: two blanks, or one and a capital or a tag.
SENTENCE_END = rf"{ANY_BLANK}(?:{ANY_BLANK}|[{UPPER}]|{TAG})"
