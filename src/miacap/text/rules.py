"""The rules of the Penn Treebank tokenizer, in order.

A rule is a regular expression whose group 1 is the token and whose whole match, context after
the token included, decides: the longest match wins, among equally long ones the first rule.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from miacap.text import abbreviations as known
from miacap.text.characters import DIGITS, LETTERS, MARKS, SYMBOLS, UPPER

Rewrite = Callable[[str], str]


class Rule(NamedTuple):
    """One rule; ``back`` characters of the token are read again for the next token."""

    name: str
    pattern: re.Pattern[str]
    rewrite: Rewrite | None = None
    back: int = 0
    needs: str = ""


def _rule(name: str, pattern: str, rewrite: Rewrite | None = None, back: int = 0, needs: str = "") -> Rule:
    return Rule(name, re.compile(pattern), rewrite, back, needs)


def _any_case(pattern: str) -> str:
    # ASCII only: under Unicode rules k would match the Kelvin sign, s the long s.
    return f"(?ai:{pattern})"


def _fold(match: re.Match[str]) -> str:
    letter = match[0]
    return letter if letter[0] == "[" else f"[{letter}{letter.upper()}]"


def _words(alternatives: str) -> str:
    """Alternatives in any case, but classes in brackets as written; longest first."""
    parts = sorted(alternatives.split("|"), key=len, reverse=True)
    folded = [re.sub(r"\[[^]]*\]|[a-z]", _fold, part) for part in parts]
    return "(?:" + "|".join(folded) + ")"


def _no_soft_hyphen(token: str) -> str:
    return token.replace("\u00ad", "") or "-"


def _fixed(token: str) -> Rewrite:
    return lambda _: token


BLANK = r"[ \t\u00a0\u2000-\u200a\u3000]"
APOS = r"(?:['\u0092\u2019]|(?ai:&apos;))"
LETTER = rf"(?:[{LETTERS}{MARKS}\u00ad]|&[aeiouAEIOU](?ai:acute|grave|uml);)"
DIGIT = rf"[{DIGITS}]"
ALNUM = rf"[{LETTERS}{DIGITS}]"
WORD = rf"{LETTER}(?:{LETTER}|{DIGIT})*(?:[.!?]{LETTER}(?:{LETTER}|{DIGIT})*)*"
NUM = rf"(?:{DIGIT}*(?:[.:,\u00ad\u066b\u066c]{DIGIT}+)+|{DIGIT}+)"
FRACTION = rf"(?:{DIGIT}{{1,4}}[- \u00a0])?{DIGIT}{{1,4}}(?:\\?/|\u2044){DIGIT}{{1,4}}"
REDAUX = rf"{APOS}(?:[msdMSD]|(?ai:re|ve|ll))"
THING = rf"(?:[dDoO]{APOS}(?={ALNUM}{{2}}))?{ALNUM}+(?:[-_](?:[dDoO]{APOS}(?={ALNUM}))?{ALNUM}+)*"
THING3 = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,2}){1,2}"
ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"
DOT_ACRONYM = rf"{ACRONYM}\."
TAG_NAME = r"[A-Za-z][A-Za-z0-9_:.-]*"
TAG = (
    rf"<(?:[!?][A-Za-z-][^>\r\n]*|/{TAG_NAME}|{TAG_NAME}"
    rf"(?: +(?:{TAG_NAME} *= *(?:'[^'\r\n]*'|\"[^\"\r\n]*\")|{TAG_NAME}))* *?/?) *>"
)
SENTENCE_END = rf"{BLANK}(?:{BLANK}|[{UPPER}])"
ENDING = rf"{_words(known.ENDING)}\."
TITLE = rf"(?:{_words(known.TITLES)})\."
OPENER = rf"{BLANK}+(?=[A-Z]){_words(known.OPENERS)}{BLANK}"

RULES = (
    _rule("cannot", r"((?ai:can))(?ai:not)"),
    _rule("gonna", r"((?ai:gon|wan))(?ai:na)"),
    _rule("gotta", r"((?ai:got))(?ai:ta)"),
    _rule("lemme", r"((?ai:lem|gim))(?ai:me)"),
    _rule("more'n", rf"((?ai:more))(?ai:'n)"),
    _rule("tis", rf"({APOS}(?ai:t))(?ai:is|was)"),
    _rule("tag", f"({TAG})", lambda t: t.replace(" ", "\u00a0"), needs=">"),
    _rule("dash", r"((?ai:&(?:md|mdash|ndash);)|[\u0096\u0097\u2013-\u2015])", _fixed("--")),
    _rule("ampersand", r"((?ai:&amp;))", _fixed("&")),
    _rule("entity", r"(&(?:(?ai:ht|tl|ur|lr|qc|ql|qr|odq|cdq)|#[0-9]+);)"),
    _rule("not", rf"({LETTER}*[{LETTERS}])(?ai:n{APOS}t)"),
    _rule("nt", rf"((?ai:n{APOS}t))"),
    _rule("clitic word", rf"({WORD}){REDAUX}", _no_soft_hyphen),
    _rule("clitic", rf"({REDAUX})[^A-Za-z]"),
    _rule("clitic last", rf"({APOS}[msdMSD])"),
    _rule("word", rf"({WORD})", _no_soft_hyphen),
    _rule("url", r"((?ai:https?)://[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])", needs="://"),
    _rule(
        "www",
        r"((?ai:www)\.(?:[^ \t\n\f\r\"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}"
        r"(?:/[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])?)",
        needs=".",
    ),
    _rule("domain", r"((?:[^ \t\n\f\r\"`'<>|.!?(){},\-_$/]+\.)+(?ai:com|net|org|edu))", needs="."),
    _rule(
        "email",
        r"((?:&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r\"<>|()\u00a0]*@(?:[^ \t\n\f\r\"<>|().\u00a0]+\.)*"
        r"[^ \t\n\f\r\"<>|().,;:\u00a0]+(?:&gt;|>)?)",
        needs="@",
    ),
    _rule("mention", r"([@#][A-Za-z_]+)"),
    _rule("clitic number", rf"([-+]?{NUM}|{FRACTION}){REDAUX}"),
    _rule("date", rf"({DIGIT}{{1,2}}[-/]{DIGIT}{{1,2}}[-/]{DIGIT}{{2,4}})"),
    _rule("number", rf"([-+]?{NUM})", _no_soft_hyphen),
    _rule("superscript", r"([\u207a\u207b\u208a\u208b]?(?:[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+))"),
    _rule("fraction", rf"({FRACTION})", lambda t: t.replace(" ", "\u00a0")),
    _rule("quarter", r"(\u00bc)", _fixed("1/4")),
    _rule("half", r"(\u00bd)", _fixed("1/2")),
    _rule("three quarters", r"(\u00be)", _fixed("3/4")),
    _rule("third", r"(\u2153)", _fixed("1/3")),
    _rule("two thirds", r"(\u2154)", _fixed("2/3")),
    _rule("apos word", rf"({APOS}[nN](?:{APOS})?|[lLdDjJ]{APOS}|(?ai:dunkin|somethin|ol){APOS}|{APOS}(?ai:em|till?|cause)|(?ai:o{APOS}clock|c{APOS}mon|d{APOS}ye|cap{APOS}n|cont{APOS}d\.)|[A-HJ-XZn]{APOS}[{LETTERS}]{{2,}}|{APOS}[2-9]0[sS]|[{LETTERS}]+[aeiouyAEIOUY]{APOS}[aeiouA-Z][{LETTERS}]*)"),
    _rule("apos word 2", rf"([yY]{APOS})"),
    _rule("year", rf"({APOS}[0-9][0-9])[^0-9a-zA-Z]"),
    _rule("ending end", rf"({ENDING}){SENTENCE_END}", back=1),
    _rule("ending inside", rf"({ENDING})[\s\S][\s\S]"),
    _rule("ending last", rf"({ENDING})", back=1),
    _rule("title", rf"({TITLE})"),
    _rule("numbered", rf"({_words(known.NUMBERED)}\.){BLANK}*{DIGIT}"),
    _rule("letter end", rf"([A-Za-z])\.{OPENER}"),
    _rule("acronym end", rf"({DOT_ACRONYM}){OPENER}", back=1),
    _rule("acronym", rf"({DOT_ACRONYM}|[A-Za-z]\.)"),
    _rule("phd", r"((?ai:ph\.d\.))"),
    _rule("inner period", rf"({WORD}\.)[,;:\u3001]"),
    _rule("phone", r"((?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])[0-9]{3,4}[- \u00a0]?[0-9]{3,5})", lambda t: t.replace(" ", "\u00a0").replace("(", "-lrb-").replace(")", "-rrb-")),
    _rule("quote open", r'(")[A-Za-z0-9$]', _fixed("``")),
    _rule("quote close", r'("|(?ai:&quot;))', _fixed("''")),
    _rule("single open", rf"(')[A-Za-z][^ \t\n\r\u00a0]", _fixed("`")),
    _rule("single", rf"({APOS}|\u203a)", _fixed("'")),
    _rule("left single", r"([\u0091\u2018\u201b\u2039])", _fixed("`")),
    _rule("left double", r"([\u0093\u00ab\u201c])", _fixed("``")),
    _rule("right double", r"([\u0094\u00bb\u201d])", _fixed("''")),
    _rule("quotes", r"(``|''|['`\u2018-\u201f]{1,2})"),
    _rule("round open", r"(\()", _fixed("-lrb-")),
    _rule("round close", r"(\))", _fixed("-rrb-")),
    _rule("square open", r"(\[)", _fixed("-lsb-")),
    _rule("square close", r"(\])", _fixed("-rsb-")),
    _rule("curly open", r"(\{)", _fixed("-lcb-")),
    _rule("curly close", r"(\})", _fixed("-rcb-")),
    _rule("less", r"((?ai:&lt;))", _fixed("<")),
    _rule("greater", r"((?ai:&gt;))", _fixed(">")),
    _rule("hyphens", r"(-{2,4})", _fixed("--")),
    _rule("long hyphens", r"(-{5,})"),
    _rule("bracket", r"((?ai:-[lr][rcs]b-))"),
    _rule("guillemets", r"(<<|>>)"),
    _rule("ellipsis", r"(\.{3,5}|(?:\.[ \u00a0]){2,4}\.|[\u0085\u2026])", _fixed("...")),
    _rule("smiley", r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^a-zA-Z0-9]", lambda t: t.replace("(", "-lrb-").replace(")", "-rrb-")),
    _rule("eastern smiley", r"([\^x=~<>]\.[\^x=~<>]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\))", lambda t: t.replace("(", "-lrb-").replace(")", "-rrb-")),
    _rule("marks", r"([?!]+)"),
    _rule("stars", r"(\*+|\\\*)"),
    _rule("dollar", r"([A-Z]*\$)"),
    _rule("euro", r"([\u0080\u00a4\u20a0\u20ac])", _fixed("$")),
    _rule("pound", r"(\u00a3)", _fixed("#")),
    _rule("cent", r"(\u00a2)", _fixed("cents")),
    _rule("programming", r"((?ai:c\+\+|[cf]#|\.net))"),
    _rule("thing", rf"({THING})"),
    _rule("clitic thing", rf"({THING}|{THING3}|{ACRONYM}\.?){REDAUX}"),
    _rule("thing3", rf"({THING3})"),
    _rule("and thing", r"([A-Z]+(?:(?:[+&]|(?ai:&amp;))[A-Z]+)+)"),
    _rule("file", rf"((?:[{LETTERS}{DIGITS}])+(?:\.[{LETTERS}{DIGITS}]+)*\.(?ai:bat|bmp|c|class|cgi|cpp|dll|doc|docx|exe|gif|gz|h|htm|html|jar|java|jpeg|jpg|mov|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip|3gp|wm[va]|avi|flv|mov|mp[34g]|css))", needs="."),
    _rule("underscores", r"(__+)"),
    _rule("punctuation", r"([.,;:%&#@/_=<>+\\^|~\-\u00ad$`!?*])"),
    _rule("symbol", rf"([{SYMBOLS}])"),
)
