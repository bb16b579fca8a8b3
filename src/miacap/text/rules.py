"""The rules of the official Penn Treebank tokenizer, in order.

A rule is a regular expression. Its group 1 is the token; what follows the group is context that
must be there and is read again. The longest match, context included, wins; among equally long
ones the first rule of the table.
"""

from typing import NamedTuple

from miacap.text import abbreviations as known
from miacap.text import patterns as p
from miacap.text.characters import DIGITS, LETTERS, MARKS, SYMBOLS
from miacap.text.rewrites import (
    Rewrite,
    fixed,
    joined_blanks,
    latex_quotes,
    named_brackets,
    one_token,
    plain_ampersand,
    plain_apostrophe,
    without_soft_hyphens,
)

ANY = r"\s\S"
LETTER_START = rf"{LETTERS}{MARKS}\u00ad&"
PLAIN_START = f"{LETTERS}{DIGITS}"
QUOTES = r"`\u0091-\u0094\u2018-\u201f\u2039\u203a\u00ab\u00bb"
NUMBER_START = rf"-+.:,\u00ad\u066b\u066c{DIGITS}"
APOSTROPHE_START = rf"{p.APOSTROPHES}&"


class Rule(NamedTuple):
    """One rule.

    Attributes:
        pattern: what is matched; group 1 is the token. Compiled where it is first tried (`lexer`).
        starts: inside of a character class: the characters that a match can begin with.
        rewrite: how the token is written, None for as it stands.
        period_again: the token's last period is read once more as a token of its own.
        needs: the rule is tried only in lines that hold one of these, in lower case.
    """

    pattern: str
    starts: str
    rewrite: Rewrite | None = None
    period_again: bool = False
    needs: tuple[str, ...] = ()


def _rule(
    starts: str,
    pattern: str,
    rewrite: Rewrite | None = None,
    period_again: bool = False,
    needs: tuple[str, ...] = (),
) -> Rule:
    return Rule(pattern, starts, rewrite, period_again, needs)


def _any(pattern: str) -> str:
    return p.any_case(pattern)


_ENDING = rf"(?:{p.words(known.ENDING)}\.|{p.words('ph|ed')}\.[dD]\.)"
_OPENER = rf"{p.ANY_BLANK}+(?:(?=[A-Z]){p.words(known.OPENERS)}|M[RrSs]\.){p.ANY_BLANK}"
_TAG_AFTER = rf"{p.ANY_BLANK}+{p.TAG}{p.ANY_BLANK}"

_WORDS = (
    # Blanks compete with the other rules, as a few of these may begin with a rare blank.
    _rule(p.BREAKS, f"({p.BLANK}+)", fixed("")),
    _rule("&", f"(&{_any('nbsp')};)", fixed("")),
    # Words that are two: the first half with the second as context.
    _rule("cC", f"({_any('can')}){_any('not')}"),
    _rule("gGwW", f"({_any('gon|wan')}){_any('na')}"),
    _rule("gG", f"({_any('got')}){_any('ta')}"),
    _rule("lLgG", f"({_any('lem|gim')}){_any('me')}"),
    _rule("mM", f"({_any('more')})'n"),
    _rule("'", f"('[tT]){_any('is|was')}"),
    _rule("<", f"({p.TAG})", joined_blanks, needs=(">",)),
    _rule("&", f"(&{_any('md|mdash|ndash')};)", fixed("--")),
    _rule("&", f"(&{_any('amp')};)", fixed("&")),
    _rule("&", f"(&(?:{_any('ht|tl|ur|lr|qc|ql|qr|odq|cdq')}|#[0-9]+);)"),
    # n't and the other clitics.
    _rule(
        r"A-Za-z\u00ad",
        rf"([A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*)[nN]{p.ANY_APOSTROPHE}[tT]",
        without_soft_hyphens,
    ),
    _rule("nN", rf"([nN]{p.ANY_APOSTROPHE}[tT])", plain_apostrophe),
    _rule(LETTER_START, f"({p.WORD}){p.CLITIC}", without_soft_hyphens),
    _rule(APOSTROPHE_START, f"({p.CLITIC})[^A-Za-z]", plain_apostrophe),
    _rule(APOSTROPHE_START, f"({p.APOSTROPHE}[msdMSD])", plain_apostrophe),
    _rule(LETTER_START, f"({p.WORD})", without_soft_hyphens),
)

_ADDRESSES = (
    _rule("hH", f"({p.FULL_URL})", needs=("://",)),
    _rule("wW", f"({p.WWW_WITH_PATH})", needs=("www.",)),
    _rule("wW", f"({p.WWW})", needs=("www.",)),
    _rule(ANY, f"({p.DOMAIN})", needs=(".com", ".net", ".org", ".edu")),
    _rule("&<A-Za-z0-9", f"({p.EMAIL})", needs=("@",)),
    _rule("@", "(@[A-Za-z_][A-Za-z_0-9]*)"),
    _rule("#", f"(#{p.LETTER}+)"),
)

_NUMBERS = (
    *(
        _rule(NUMBER_START, f"({number}){p.CLITIC}", rewrite)
        for number, rewrite in ((p.SIGNED, without_soft_hyphens), (p.FRACTION, one_token))
    ),
    _rule(DIGITS, f"({p.DATE})"),
    _rule(NUMBER_START, f"({p.SIGNED})", without_soft_hyphens),
    _rule(ANY, f"({p.SUPERSCRIPT})"),
    _rule(DIGITS, f"({p.FRACTION})", one_token),
    _rule("\u00bc", "(\u00bc)", fixed("1/4")),
    _rule("\u00bd", "(\u00bd)", fixed("1/2")),
    _rule("\u00be", "(\u00be)", fixed("3/4")),
    _rule("\u2153", "(\u2153)", fixed("1/3")),
    _rule("\u2154", "(\u2154)", fixed("2/3")),
)

_ELIDED = (
    _rule(
        APOSTROPHE_START,
        rf"({p.APOSTROPHE}(?:[nN]{p.APOSTROPHE}?|{_any('em|till?|cause')}|[2-9]0[sS]))",
    ),
    _rule("lLdDjJ", rf"([lLdDjJ]{p.APOSTROPHE})"),
    _rule("dDsSoO", rf"({_any('dunkin|somethin|ol')}{p.APOSTROPHE})"),
    _rule("oOcCdDnNeE", rf"({_any('o')}{p.ANY_APOSTROPHE}{_any('clock')})"),
    _rule(
        "cC",
        rf"([cC]'{_any('mon')}|{_any('cap')}{p.APOSTROPHE}[nN]|{_any('cont')}'[dD]\.)",
    ),
    _rule("dD", rf"([dD]{p.ANY_APOSTROPHE}{_any('ye')})"),
    _rule("nNeE", rf"([nN][eE]{p.APOSTROPHE}{_any('er')}|[eE]'{_any('er')})"),
    _rule("sS", _any("(s'mores)")),
    _rule("nN", rf"({_any('nat')}'[lL])"),
    _rule("A-HJ-XZn", rf"([A-HJ-XZn]{p.ANY_APOSTROPHE}[{LETTERS}]{{2,}})"),
    _rule(LETTERS, rf"([{LETTERS}]+[aeiouyAEIOUY]{p.ANY_APOSTROPHE}[aeiouA-Z][{LETTERS}]*)"),
    _rule("oO", rf"([oO]{p.ANY_APOSTROPHE}[oO])"),
    _rule("yY", rf"([yY]{p.APOSTROPHE})[{LETTERS}]"),
    _rule(APOSTROPHE_START, rf"({p.APOSTROPHE}[0-9][0-9]){p.ANY_BLANK}"),
)

_ABBREVIATIONS = (
    _rule("A-Za-z", f"({_ENDING}){p.SENTENCE_END}", period_again=True),
    _rule("A-Za-z", rf"({_ENDING})[\s\S][\s\S]"),
    _rule("A-Za-z", f"({_ENDING})", period_again=True),
    _rule("A-Za-z", rf"({p.words(known.TITLES)}\.)"),
    _rule("A-Za-z", rf"({p.words(known.NUMBERED)}\.){p.ANY_BLANK}?{p.DIGIT}"),
    _rule("A-Za-z", rf"([A-Za-z])\.(?:{_OPENER}|{_TAG_AFTER})"),
    *(
        _rule("A-Za-z", rf"({acronym}\.)(?:{_OPENER}|{_TAG_AFTER})", period_again=True)
        for acronym in (p.INITIALS, _any(known.COUNTRIES))
    ),
    _rule("A-Za-z", rf"({p.INITIALS}\.|[A-Za-z]\.)"),
    *(
        _rule(LETTER_START + DIGITS, rf"({word}\.)[,;:\u3001]", without_soft_hyphens)
        for word in (p.WORD, p.HYPHENATED, p.COMPOUND)
    ),
    _rule("A-Z", rf"({p.CAPITALS_JOINED}\.)[,;:\u3001]", plain_ampersand),
)

_SIGNS = (
    _rule(r"(+0-9", f"({p.PHONE})", one_token),
    # The entity of a quote is one in small letters alone; &QUOT; is a word.
    _rule('"&', '("|&quot;)[A-Za-z0-9$]', fixed("``")),
    _rule('"&', '("|&quot;)', fixed("''")),
    _rule("&", f"(&{_any('quot')};)"),
    _rule("'", r"(')[A-Za-z][^ \t\n\r\u00a0]", fixed("`")),
    # Behind the opening quote: where it applies, 're at the very end is no clitic.
    _rule(APOSTROPHE_START, f"({p.CLITIC})", plain_apostrophe),
    _rule(APOSTROPHE_START, f"({p.APOSTROPHE})", plain_apostrophe),
    _rule(rf"'{QUOTES}", f"(''|[{QUOTES}]{{1,2}})", latex_quotes),
    _rule("(", r"(\()", fixed("-lrb-")),
    _rule(")", r"(\))", fixed("-rrb-")),
    _rule(r"\[", r"(\[)", fixed("-lsb-")),
    _rule(r"\]", r"(\])", fixed("-rsb-")),
    _rule("{", r"(\{)", fixed("-lcb-")),
    _rule("}", r"(\})", fixed("-rcb-")),
    _rule("&", f"(&{_any('lt')};)", fixed("<")),
    _rule("&", f"(&{_any('gt')};)", fixed(">")),
    _rule(r"\-", "(-{2,4})", fixed("--")),
    _rule(r"\-", "(-{5,})"),
    _rule(r"\-", f"({_any('-[lr][rcs]b-')})"),
    _rule("\u0096\u0097\u2013-\u2015", "([\u0096\u0097\u2013-\u2015])", fixed("--")),
    _rule(".\u0085\u2026", r"(\.{3,5}|(?:\.[ \u00a0]){2,4}\.|[\u0085\u2026])", fixed("...")),
    _rule(r"<>:;=", r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^a-zA-Z0-9]", named_brackets),
    _rule(
        r"\^x=~<>\-'(",
        r"([\^x=~<>]\.\[\^[xX]=~<>\]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)"
        r"|\([\^x=~<>']-[\^x=~<>'`]\))",
        named_brackets,
    ),
    _rule("?!", "([?!]+)"),
    _rule(r"*\\", r"(\*+|\\\*)"),
    _rule("A-Z$", r"([A-Z]*\$)"),
    _rule("\u0080\u00a4\u20a0\u20ac", "([\u0080\u00a4\u20a0\u20ac])", fixed("$")),
    _rule("\u00a3", "(\u00a3)", fixed("#")),
    _rule("\u00a2", "(\u00a2)", fixed("cents")),
    _rule("#", "(#+)"),
    _rule("@", "(@+)"),
    _rule("<>", "(<<|>>)"),
    _rule("_", "(__+)"),
)

_COMPOUNDS = (
    _rule("cCfF.", r"([cC]\+\+|[cCfF]#)"),
    _rule(PLAIN_START, f"({p.HYPHENATED})"),
    _rule("aApP", f"({_any('anti|pro')}-)"),
    _rule("A-Za-z0-9", f"({p.COMPOUND})", without_soft_hyphens, needs=("-",)),
    *(
        _rule(PLAIN_START, f"({word}){p.CLITIC}", without_soft_hyphens)
        for word in (p.SLASHED, rf"{p.INITIALS}\.?", r"[A-Za-z]\.", p.HYPHENATED_PLAIN)
    ),
    _rule("A-Za-z0-9", f"({p.SLASHED})", needs=("/",)),
    _rule("A-Z", f"({p.CAPITALS_JOINED})", plain_ampersand),
    _rule(LETTER_START + DIGITS, rf"({p.FILE})[{p.BREAKS}.,!?]", needs=(".",)),
)

_SINGLE = (
    _rule(r".,;:%&#@/_=<>+\\^|~\-\u00ad$`!?*'", r"([.,;:%&#@/_=<>+\\^|~\-$`!?*'])"),
    _rule("\u00ad", "(\u00ad)", fixed("-")),
    _rule(SYMBOLS, f"([{SYMBOLS}])"),
)

RULES: tuple[Rule, ...] = (
    *_WORDS,
    *_ADDRESSES,
    *_NUMBERS,
    *_ELIDED,
    *_ABBREVIATIONS,
    *_SIGNS,
    *_COMPOUNDS,
    *_SINGLE,
)
