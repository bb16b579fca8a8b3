"""A small world for the commands of the docs: drawn scenes under the names that the docs use.

`flickr8k` has the layout of the official files, `coco` that of the folders of COCO; `holiday`,
`photo.jpg` and so on are a few of the scenes as JPEGs.
"""

import base64
import json
import re
import runpy
import shutil
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np

from miacap.data.scenes import compose, describe, draw, paint, split_of

ROOT = Path(__file__).resolve().parents[2]

SEED, PICTURES = 1, 30
BROUGHT = (
    "flickr8k", "coco", "scenes", "my-photos", "holiday", "photo.jpg", "examples", "site",
    "trainval_36.tsv", "mine.json", "image_concepts.json", "words.txt", "glove.6B.300d.txt",
    "models", "picodet.onnx", "picodet.json", "captions_val2014.json", "results.json",
    "references.json", "captions.json", "ours.jsonl", "theirs.jsonl", "ref1.txt", "ref2.txt",
    "candidates.txt",
)  # fmt: skip
"""What readers bring, by the names that the pages have for it."""
BOXES, WIDTH = 36, 16
_COCO = {"train": "train2014", "dev": "val2014", "test": "val2014"}


def photo(file: Path, index: int) -> Path:
    """Draw a scene as a JPEG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    paint(compose(SEED, index), 224).convert("RGB").save(file, "JPEG", quality=90)
    return file


def name_of(index: int) -> str:
    return f"{1000000000 + index}_{index:010x}.jpg"


def captions(index: int) -> list[str]:
    return list(describe(compose(SEED, index), SEED, index)["captions"])


def flickr8k(folder: Path, pictures: int = PICTURES) -> None:
    """Photos in a folder, the token file, a list of names for each split."""
    tokens: list[str] = []
    lists: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for index in range(pictures):
        name = name_of(index)
        photo(folder / "Flicker8k_Dataset" / name, index)
        tokens += [f"{name}#{n}\t{caption}" for n, caption in enumerate(captions(index))]
        lists[split_of(index)].append(name)
    (folder / "Flickr8k.token.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    for split, names in lists.items():
        (folder / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names) + "\n")


def coco(folder: Path) -> None:
    """Annotations, a folder of photos for each, Karpathy's lists of ids."""
    told: dict[str, dict[str, list[dict[str, object]]]] = {}
    lists: dict[str, list[str]] = {"restval": [], "val": [], "test": []}
    for index in range(PICTURES):
        id, split = 100 + index, _COCO[split_of(index)]
        restval = index % 10 == 7  # a training picture of val2014
        split = "val2014" if restval else split
        name = f"COCO_{split}_{id:012d}.jpg"
        photo(folder / split / name, index)
        one = told.setdefault(split, {"images": [], "annotations": []})
        one["images"].append({"id": id, "file_name": name, "width": 224, "height": 224})
        for n, caption in enumerate(captions(index)):
            one["annotations"].append({"image_id": id, "id": 5 * id + n, "caption": caption})
        which = "restval" if restval else {"dev": "val", "test": "test"}.get(split_of(index), "")
        if which:
            lists[which].append(str(id))
    (folder / "annotations").mkdir()
    for split, one in told.items():
        file = folder / "annotations" / f"captions_{split}.json"
        file.write_text(json.dumps(one), encoding="utf-8")
    for which, ids in lists.items():
        (folder / f"karpathy_{which}.txt").write_text("\n".join(ids) + "\n")


def bottom_up(file: Path) -> None:
    """Rows of 36 boxes in the form of the bottom-up TSV, for `coco`."""
    chance = np.random.default_rng(SEED)
    rows = []
    for id in range(100, 100 + PICTURES):
        corners = np.sort(chance.random((BOXES, 2, 2)), axis=1).reshape(BOXES, 4) * 224
        numbers = (corners.astype("<f4"), chance.random((BOXES, WIDTH)).astype("<f4"))
        packed = [base64.b64encode(array.tobytes()).decode() for array in numbers]
        rows.append("\t".join(map(str, (id, 224, 224, BOXES, *packed))))
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def things() -> list[str]:
    """The three longer words that the captions have most often."""
    said = " ".join(caption for index in range(PICTURES) for caption in captions(index))
    counted = Counter(re.findall(r"[a-z]{5,}", said.lower()))
    return [word for word, _ in counted.most_common(3)]


def my_photos(folder: Path) -> None:
    """The photos of `flickr8k` once more, as a folder of one's own with metadata.jsonl."""
    rows = []
    for index in range(PICTURES):
        photo(folder / name_of(index), index)
        row = {"file_name": name_of(index), "captions": captions(index), "split": split_of(index)}
        rows.append(json.dumps(row))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def own_captioner(site: Path) -> None:
    """What `pip install ./examples` lays: the module and its entry point."""
    examples = ROOT / "examples"
    project = tomllib.loads((examples / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    told.mkdir(parents=True)
    shutil.copy(examples / "own_captioner.py", site)
    (told / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["miacap.captioners"].items()
    lines = ["[miacap.captioners]", *(f"{name} = {where}" for name, where in points)]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n")


def detector(folder: Path) -> None:
    """A detector that finds the same boxes everywhere, of things that scenes have."""
    write = runpy.run_path(str(ROOT / "tests" / "onnx_files.py"))["write"]
    boxes = [[0.1, 0.1, 0.5, 0.6], [0.4, 0.3, 0.9, 0.9], [0.0, 0.5, 0.6, 1.0]]
    write(folder, boxes, [[1.0, 0.2], [0.3, 0.9], [0.6, 0.5]], things()[:2], "picodet")


def models(folder: Path) -> None:
    """Folders as of `transformers`, of networks that are small and know nothing."""
    small = runpy.run_path(str(ROOT / "tests" / "visual" / "small_models.py"))
    prompts = ["a", "photo", "of", "that", "shows", "someone", "or", "something", "."]
    small["save_pair"]("clip", folder / "clip-vit-base-patch32", [*prompts, *things()])
    small["save"]("dinov2", folder / "dinov2-base")


def scores(folder: Path) -> None:
    """References and captions in the forms that `score` reads: each picture's second caption."""
    chosen = range(3)
    references = {name_of(index): captions(index) for index in chosen}
    said = {name: lines[1] for name, lines in references.items()}
    (folder / "references.json").write_text(json.dumps(references))
    (folder / "captions.json").write_text(json.dumps(said))
    rows = [json.dumps({"id": name, "caption": caption}) for name, caption in said.items()]
    for name in ("ours.jsonl", "theirs.jsonl"):
        (folder / name).write_text("\n".join(rows) + "\n")
    for name, which in (("ref1.txt", 0), ("ref2.txt", 1), ("candidates.txt", 2)):
        lines = [captions(index)[which] for index in chosen]
        (folder / name).write_text("\n".join(lines) + "\n")
    told = json.loads((folder / "coco/annotations/captions_val2014.json").read_text())
    (folder / "captions_val2014.json").write_text(json.dumps(told))
    ids = [image["id"] for image in told["images"]]
    results = [{"image_id": id, "caption": captions(id - 100)[0]} for id in ids]
    (folder / "results.json").write_text(json.dumps(results))


def lay(folder: Path) -> None:
    """Lay everything that a reader of the docs is supposed to bring."""
    flickr8k(folder / "flickr8k")
    flickr8k(folder / "few", 10)
    coco(folder / "coco")
    bottom_up(folder / "trainval_36.tsv")
    my_photos(folder / "my-photos")
    draw(folder / "scenes", 20, seed=SEED)
    for index, name in enumerate(("photo.jpg", "holiday/beach.jpg", "holiday/dog.jpg")):
        photo(folder / name, 40 + index)
    lists = {name_of(index): [*things(), "the"] for index in range(PICTURES)}
    for name in ("mine.json", "image_concepts.json"):
        (folder / name).write_text(json.dumps(lists))
    (folder / "words.txt").write_text("\n".join(things()) + "\n")
    scores(folder)
    chance = np.random.default_rng(SEED)
    vectors = [" ".join([word, *map(str, chance.random(300).round(3))]) for word in ("a", "dog")]
    (folder / "glove.6B.300d.txt").write_text("\n".join(vectors) + "\n")
    detector(folder)
    models(folder / "models")
    own_captioner(folder / "site")
    (folder / "examples").symlink_to(ROOT / "examples")
