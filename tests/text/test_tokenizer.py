"""Rules of the tokenizer on written lines; the expected tokens are the official program's."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miacap.text import PUNCTUATION, tokenize, tokenize_all, tokenizer
from miacap.text import abbreviations as known
from miacap.text.lexer import scan
from miacap.text.rules import RULES

LINES = [
    ("A dog's ball, isn't it?", "a dog 's ball , is n't it ?"),
    (
        "The cats' bowl isn't theirs; they've none.",
        "the cats ' bowl is n't theirs ; they 've none .",
    ),
    (
        "We cannot stay, gonna leave, wanna go, gotta run, lemme be.",
        "we can not stay , gon na leave , wan na go , got ta run , lem me be .",
    ),
    ("'Tis a rock 'n' roll band from the '70s.", "'t is a rock 'n' roll band from the '70s ."),
    ("D'ye see the ma'am at five o'clock?", "d'ye see the ma'am at five o'clock ?"),
    ("y'all must've seen O'Neil and L'Oreal", "y' all must 've seen o'neil and l'oreal"),
    ('She said "stop", he didn\u2019t.', "she said `` stop '' , he did n't ."),
    ("\u201cLook,\u201d he said, \u2018now\u2019.", "`` look , '' he said , ` now ' ."),
    ("a man (left) [right] {both}", "a man -lrb- left -rrb- -lsb- right -rsb- -lcb- both -rcb-"),
    ("The -LRB- was typed -rrb-", "the -lrb- was typed -rrb-"),
    ("wait ... no.... . . . really?!", "wait ... no ... ... really ?!"),
    (
        "a long \u2014 dash, a \u2013 dash, a -- dash, a ---- dash ------",
        "a long -- dash , a -- dash , a -- dash , a -- dash ------",
    ),
    (
        "$5 US$20 \xa33 \u20ac4 5\xa2 50% #1 #win @home",
        "$ 5 us$ 20 # 3 $ 4 5 cents 50 % # 1 #win @home",
    ),
    (
        "1,000.50 at 5:30pm on 12/24/2013, 1-2 of 3rd",
        "1,000.50 at 5:30 pm on 12/24/2013 , 1-2 of 3rd",
    ),
    ("add 1 1/2 cups, \xbd cup, 3/4", "add 1\xa01/2 cups , 1/2 cup , 3/4"),
    ("call (555) 123-4567 or 555 123 4567", "call -lrb-555-rrb-\xa0123-4567 or 555\xa0123\xa04567"),
    (
        "mail me@home.org or see http://a.b/c?d=e. www.site.co.uk/x.html example.com/about",
        "mail me@home.org or see http://a.b/c?d=e . www.site.co.uk/x.html example.com/about",
    ),
    (
        "a black-and-white T-shirt and/or w/o C++ R&B AT&T",
        "a black-and-white t-shirt and/or w/o c++ r&b at&t",
    ),
    ("AT&amp;T &lt;b&gt; &quot;x&quot; caf&eacute;", "at&t < b > `` x '' caf&eacute;"),
    ('<b>bold</b> and <a href="x y">link</a>', '<b> bold </b> and <a\xa0href="x\xa0y"> link </a>'),
    (
        "near Main St. Louis, the Blvd. Smith etc. x",
        "near main st. louis , the blvd. . smith etc. x",
    ),
    (
        "Mr. Smith of Acme Inc., Calif. and Wash. state",
        "mr. smith of acme inc. , calif. and wash. state",
    ),
    (
        "the U.S. The flag, vitamin B. The pill, at 5 p.m. sharp",
        "the u.s. . the flag , vitamin b . the pill , at 5 p.m. sharp",
    ),
    (
        "a U.S.-based firm, anti-x, a Mon.-Fri. job, no. 5",
        "a u.s.-based firm , anti-x , a mon.-fri . job , no. 5",
    ),
    ("photo.png 1.jpg here, data.x y", "photo.png 1.jpg here , data.x y"),
    (
        "a*b well^known a|b \\* 5\xb0C \u2605 \xa92014",
        "a * b well ^ known a | b \\* 5 \xb0 c \u2605 \xa9 2014",
    ),
    ("smile :) here ;-) there ^_^ o_o", "smile :-rrb- here ;--rrb- there ^_^ o_o"),
    (
        "na\xefve caf\xe9 \xfcber \u65e5\u672c e\u0301 a\xadb \xad",
        "na\xefve caf\xe9 \xfcber \u65e5\u672c e\u0301 ab -",
    ),
    ("x\xa0y a\u200bb \U0001f600 dog\ufeff \ufffd", "x y a b dog"),
    ("what?!why a!b a.b .5 x,5", "what ?! why a!b a.b .5 x ,5"),
    ("dog\x85cat", "dog ... cat"),
]


@pytest.mark.parametrize(("line", "tokens"), LINES)
def test_lines(line: str, tokens: str) -> None:
    assert " ".join(tokenize(line, keep_punctuation=True)) == tokens
    assert tokenize(line) == [token for token in tokens.split(" ") if token not in PUNCTUATION]


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("x&QUOT;", "x &quot;"),
        ("&Quot;a&quot; b&quot;", "&quot; a '' b ''"),
        ("dog&Apos;s toy", "dog &apos;s toy"),
        ("don&APOS;t don&apos;t", "do n&apos;t do n't"),
        ("A&AMP;B &LT; &GT; x&NBSP;y", "a&b < > x y"),
        ("more'n MORE'n more'N", "more 'n more 'n more'n"),
        ("c'mon C'MON c\u2019mon", "c'mon c'mon c 'm on"),
        ("the assoc. The NON-u.s. The x", "the assoc. the non-u.s. . the x"),
    ],
)
def test_letter_case_decides_where_it_does_officially(line: str, tokens: str) -> None:
    assert " ".join(tokenize(line, keep_punctuation=True)) == tokens


def test_every_rule_in_capitals_and_small_letters() -> None:
    """1,738 lines that mix both in every abbreviation, clitic, entity and address."""
    path = Path(__file__).parent / "official_letter_case.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    lines = [raw for raw, _ in rows]
    cut = tokenize_all([*lines, "a dog"], keep_punctuation=True, neighbours=True)
    wrong = [
        (raw, official, " ".join(tokens))
        for (raw, official), tokens in zip(rows, cut[:-1], strict=True)
        if " ".join(tokens) != official
    ]
    assert wrong == []


def test_only_listed_punctuation_goes() -> None:
    line = "`` a '' ` b ' . ? ! , : - -- ... ; ( ) [ ] # $ % & / * @ _ = < >"
    kept = "a b -lrb- -rrb- -lsb- -rsb- # $ % & / * @ _ = < >"
    assert tokenize(line) == kept.split()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\u2028", "\u2029"])
def test_a_line_break_inside_is_a_blank(end: str) -> None:
    assert tokenize(f"a dog{end}and etc.{end}cats") == ["a", "dog", "and", "etc.", "cats"]
    assert tokenize(f"the dog{end}") == ["the", "dog"]


def test_short_lines_end_as_the_whole_input_does() -> None:
    assert tokenize("etc.", keep_punctuation=True) == ["etc.", "."]
    assert tokenize("vitamin B.", keep_punctuation=True) == ["vitamin", "b."]
    assert tokenize("he can't've", keep_punctuation=True) == ["he", "ca", "n't", "`", "ve"]


def test_sentences_end_as_one_caption_of_many_does() -> None:
    caption = "A sign on a pole that shows a B."
    assert tokenize(caption) == ["a", "sign", "on", "a", "pole", "that", "shows", "a", "b"]
    assert tokenize_all([caption, "a dog"], neighbours=True)[0][-1] == "b."
    assert tokenize_all([caption, "A dog"], neighbours=True)[0][-1] == "b"


def test_neighbours_beyond_blank_lines_are_seen() -> None:
    assert tokenize_all(["vitamin B.", "", "  ", "A dog"], neighbours=True) == [
        ["vitamin", "b"],
        [],
        [],
        ["a", "dog"],
    ]


@pytest.mark.parametrize(
    "nothing", ["", " ", "\n", "\t \u00a0", "\x00", "\ud800", "😀", "...", "\u200b"]
)
def test_nothing_to_say(nothing: str) -> None:
    assert tokenize(nothing) == []


def test_half_a_surrogate_pair_never_reaches_a_token() -> None:
    assert tokenize("a\udcffb http://a.b/\ud800c") == ["a", "b", "http://a.b/\ufffdc"]
    assert tokenize("see http://a.b/\U00010400c") == ["see", "http://a.b/\U00010428c"]


_PIECES = """\
a A The dog DOG's it's can't U.S. etc. Mr. No. B. 5 1/2 555 1,000 . .. , ; : ! ? ' " ` - --
( ) [ < > & &amp; <b> x@y.com http://a.b www.a.com @x #x $ % * é ’ “ 😀 \xad \xa0 :) x-y n't
've cannot""".replace("\n", " ")


PIECES = st.sampled_from(_PIECES.split(" "))
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=12).map(" ".join),
    st.lists(PIECES, max_size=8).map("".join),
)


@given(TEXTS)
def test_any_text_gives_clean_tokens(text: str) -> None:
    tokens = tokenize(text, keep_punctuation=True)
    for token in tokens:
        assert token and " " not in token and "\n" not in token
        token.encode()
    assert [t for t in tokenize(text) if t in PUNCTUATION] == []


@given(st.lists(TEXTS, max_size=5), st.booleans())
def test_captions_are_taken_alone(texts: list[str], keep: bool) -> None:
    expected = [tokenize(text, keep) for text in texts]
    assert tokenize_all(texts, keep) == expected
    assert tokenize_all(reversed(texts), keep) == expected[::-1]


@given(st.lists(PIECES, max_size=8).map(" ".join))
def test_known_pieces_change_nothing(text: str) -> None:
    # Few words: read as the whole input, as the rules alone read it.
    assert tokenize(" ".join(text.split(" ")[:5]), True) == scan(" ".join(text.split(" ")[:5]))


_ABBREVIATED = re.sub(
    r"\[(.)[^]]*\]|\?", r"\1", "|".join((known.ENDING, known.TITLES, known.NUMBERED))
).split("|")
_HALVES = (
    "can",
    "not",
    "gon",
    "wan",
    "na",
    "got",
    "ta",
    "lem",
    "gim",
    "me",
    "more",
    "it",
    "com",
    "x",
)


@given(
    st.one_of(
        st.sampled_from(_ABBREVIATED),
        st.lists(st.sampled_from(_HALVES), min_size=1, max_size=3).map("".join),
        st.text("abcdefghijklmnopqrstuvwxyzABCNTU", min_size=1, max_size=6),
    ),
    st.sampled_from((str, str.upper, str.capitalize)),
    st.sampled_from(("", ".")),
)
def test_a_plain_word_is_cut_as_the_rules_cut_it(
    word: str, case: Callable[[str], str], end: str
) -> None:
    piece = case(word) + end
    tokens = tokenizer._plain(piece)
    if tokens is not None:
        for behind in tokenizer._BEHIND:
            assert tuple(scan(piece, behind)) == tokens, (piece, behind)


def test_common_words_need_no_rule() -> None:
    for word in ("dog", "Grass", "grass.", "Coming", "markets."):
        assert tokenizer._plain(word) == tuple(re.findall(r"[a-z]+|\.", word.lower()))
    for word in ("cannot", "Gimme", "st.", "Mrs.", "a.", "no.", "it's", "a-b", "", ".", "é"):
        assert tokenizer._plain(word) is None


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=4).map("".join)))
def test_greedy_matches_are_the_longest(text: str) -> None:
    # The rules are only right if each one finds its longest match by itself.
    for rule in RULES:
        pattern = re.compile(rule.pattern)
        found = pattern.match(text)
        ends = [n for n in range(len(text) + 1) if pattern.fullmatch(text, 0, n)]
        assert (found.end() if found else None) == max(ends, default=None), rule.pattern


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a.",
        "1.",
        "a-",
        "a,",
        "a@",
        "<a ",
        '<a b="',
        "<!a",
        ". ",
        "&",
        "\u00ad",
        "😀",
        "www.a.",
        "http://",
        "%.",
        "~",
        "12 345 ",
        "n't",
        "A. ",
        "etc. ",
        "'",
        "\x00",
        "\ud800",
        "a/",
        "a_",
        "1a.",
    ],
)
@pytest.mark.parametrize("end", ["", "@x.com", ">", ".com", "@"])
def test_long_lines_take_little_time(unit: str, end: str) -> None:
    line = (unit * 10_000)[:10_000] + end
    start = time.process_time()
    tokenize(line)
    assert time.process_time() - start < 2


def test_time_grows_with_the_length_alone() -> None:
    """Every "www." may begin an address that runs to the end of the line."""
    start = time.process_time()
    tokenize("9www." * 12_000)
    assert time.process_time() - start < 5
