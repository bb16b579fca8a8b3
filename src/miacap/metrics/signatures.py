"""What a score was computed with, in one line that fits below a table.

In the manner of sacrebleu (Post, WMT 2018): two numbers compare only where their
signatures agree in everything but the number of pictures.
"""

from collections.abc import Iterable, Mapping, Sequence

from miacap.version import __version__

# Raise when the tokenizer's output changes for any line.
_TOKENIZER = "ptb"

FIXED: Mapping[str, str] = {
    "BLEU": "len:closest|smooth:1e-15/1e-9",
    "ROUGE-L": "beta:1.2|best:P,R",
    "CIDEr-D": "n:4|sigma:6",
    "METEOR": "1.5|en|norm|exact,stem,syn,para",
    "SPICE": "f1",
}


def family(metric: str) -> str:
    """BLEU-1 .. BLEU-4 share one signature."""
    return "BLEU" if metric.startswith("BLEU-") else metric


def setting(references: Sequence[Sequence[str]], tokenized: bool) -> str:
    """Tokenizer, pictures, references and version: the part that all metrics share."""
    sizes = {len(captions) for captions in references}
    span = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)}-{max(sizes)}"
    tokenizer = "none" if tokenized else _TOKENIZER
    return f"tok:{tokenizer}|pictures:{len(references)}|refs:{span}|miacap:{__version__}"


def of_metric(metric: str, extra: Mapping[str, str], shared: str) -> str:
    """One metric's own signature, for example `CIDEr-D[n:4|sigma:6|df:...] tok:ptb|...`."""
    return f"{metric}[{_own(metric, extra)}] {shared}"


def of_table(metrics: Iterable[str], extra: Mapping[str, str], shared: str) -> str:
    """The signature of a whole table."""
    families = dict.fromkeys(family(metric) for metric in metrics)
    return " ".join([*(f"{name}[{_own(name, extra)}]" for name in families), shared])


def _own(metric: str, extra: Mapping[str, str]) -> str:
    name = family(metric)
    return "|".join(part for part in (FIXED[name], _printable(extra.get(name, ""))) if part)


def _printable(text: str) -> str:
    """One line for any terminal: names come from files, which may hold anything."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
