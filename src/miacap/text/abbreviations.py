"""Abbreviations whose period belongs to the word. Found by probing the official program.

Written as regular expressions without their period; letters match in either case, a class in
brackets only as written (the official program does the same, so `MFG.` is none).
"""

MONTHS = "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
DAYS = "mon|tues?|wed|thu|thurs|fri"
STATES = (
    "ala|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn"
    "|tenn|va|vt|wisc?|wyo"
    # Words of their own in lower case: these need their capital.
    "|[A]rk|[A]z|[D]el|[I]ll|[L]a|[M]ass|[M]iss|[O]re|[P]a|[T]ex|[W]ash"
)
COMPANIES = "inc|cos?|corp|pp?t[ye]s?|ltd|plc|bhd|bros|assn|univ|intl|sys"
OTHERS = "rt|rd|sq|tel|est|ext|etc|seq|al|esq|jr|sr|bldg|blvd"

# After these a sentence may end: their period counts twice before a capital or a wide blank.
ENDING = "|".join((MONTHS, DAYS, STATES, COMPANIES, OTHERS))

# Titles and the like: a name follows, so the period never ends the sentence.
TITLES = (
    "mr|mrs|ms|mme|mlle|messrs|dr|drs|st|ste|mt|ft|lt|col|cpl|capt|gen|maj|sgt|sfc|pfc|pvt|spc|ens"
    "|adm|brig|cmdr|comdr|lieut|det|insp|supts?|gov|govs|sens?|reps?|rev|hon|pres|profs?|asst"
    "|attys?|treas|dept|natl|alex|wm|jos|ph|cf|vs|cie|adj|adv|elec|ave|m[ft]g|msgr|assoc|invt"
)

# Only before a number.
NUMBERED = "ca|figs?|prop|nos?|art|pp|op"

# Words that begin a new sentence after a single letter or an acronym.
OPENERS = (
    "a|about|according|after|an|as|at|but|earlier|he|her|here|however|if|in|it|last|many|more|now"
    "|once|one|other|our|she|since|so|some|such|that|the|their|then|there|these|they|this|we|what"
    "|when|while|yet|you"
)

# Hyphenated acronyms that end a sentence as plain ones do (others never do).
COUNTRIES = r"(?:canada|eu|japan|korean|non|sino)-u\.s|u\.s\.-u\.(?:k|s\.s\.r)"
