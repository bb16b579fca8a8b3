"""Words that no picture shows by itself: the closed classes of English.

Numbers (two, three) and words of relation that are verbs or nouns (sitting, holding, front)
are not here: they say something about a picture.
"""

_CLASSES = {
    "articles and determiners": """
        a an the this that these those each every either neither some any no all both half such
        another other others what which whatever whichever several many much more most few fewer
        less least own same enough
    """,
    "pronouns": """
        i me my mine myself you your yours yourself yourselves he him his himself she her hers
        herself it its itself we us our ours ourselves they them their theirs themselves one ones
        who whom whose someone somebody something anyone anybody anything everyone everybody
        everything nobody nothing none
    """,
    "prepositions": """
        of in on at by to into onto from with without within about above across after against
        along alongside amid among amongst around as aside atop before behind below beneath beside
        besides between beyond despite down during except for inside like near nearby next off out
        outside over past per since through throughout till toward towards under underneath until
        unlike up upon upside via while
    """,
    "conjunctions": """
        and or but nor so yet if than because although though whereas whether when where why how
        unless once
    """,
    "auxiliaries": """
        be am is are was were been being have has had having do does did doing done will would
        shall should can could may might must ought cannot
    """,
    "adverbs of degree, place and time without content": """
        not only very too also just there here then now again even still almost away back else ever
        never quite rather really together apart ahead forth apparently
    """,
    "pieces that the tokenizer leaves of contractions": """
        's 't n't 'm 're 've 'll 'd s t ca wo ai don doesn isn aren
    """,
}

STOP_WORDS: frozenset[str] = frozenset(
    word for words in _CLASSES.values() for word in words.split()
)
