"""Two systems' captions scored and compared: no torch, no Java, no photo."""

from miacap.metrics import score
from miacap.metrics.comparisons import paired_bootstrap

references = {  # what people said of each picture
    "dog.jpg": ["A dog runs on grass.", "A brown dog is running."],
    "cat.jpg": ["A cat sleeps.", "A grey cat lies on a sofa."],
    "boat.jpg": ["A boat on the sea.", "A small boat sails at sunset."],
}
ours = {
    "dog.jpg": "A brown dog runs.",
    "cat.jpg": "A cat lies on a sofa.",
    "boat.jpg": "A boat sails on the sea.",
}
theirs = {"dog.jpg": "A dog.", "cat.jpg": "A dog on a sofa.", "boat.jpg": "A boat."}
wanted = ["BLEU-4", "ROUGE-L", "CIDEr-D"]

scores = score(references, ours, wanted)  # each may also be a file: score("refs.json", "ours.csv")
others = score(references, theirs, wanted)
for name, value in scores.items():
    found = paired_bootstrap(scores, others, name)
    print(
        f"{name}: {value:.3f} and {others[name]:.3f}, 95 % of differences within"
        f" {found.low:+.3f} to {found.high:+.3f}"
    )
for picture, value in zip(scores.ids, scores.per_picture["CIDEr-D"], strict=True):
    print(f"{picture}: CIDEr-D {value:.2f}")
print(scores.signature)  # print it beside every score
print(*scores.warnings, sep="\n")
