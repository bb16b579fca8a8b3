"""Every form of features, written as its own tool writes it, from a few random pictures."""

import base64
import gzip
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

WIDTH = 6


@dataclass(frozen=True)
class Made:
    """A picture: its COCO id, the photo's sides, k x 6 features, and boxes in pixels."""

    id: int
    width: int
    height: int
    features: Any
    boxes: Any

    @property
    def name(self) -> str:
        return f"COCO_val2014_{self.id:012d}"

    @property
    def relative(self) -> Any:
        return self.boxes / np.float32([self.width, self.height, self.width, self.height])


def pictures(ids: Sequence[int] = (42, 391895, 7, 300), seed: int = 0, rows: int = 0) -> list[Made]:
    """Draw pictures of 2 or 3 regions, or of ``rows``; the photos are not square."""
    chance = np.random.default_rng(seed)
    made = []
    for number, id in enumerate(ids):
        k = rows or 2 + number % 2
        width, height = 640 - number, 480 + number
        corners = np.sort(chance.random((k, 2, 2)), axis=1).reshape(k, 4)
        boxes = (corners * [width, height, width, height]).astype(np.float32)
        features = chance.random((k, WIDTH)).astype(np.float32)
        made.append(Made(id, width, height, features, boxes))
    return made


@dataclass(frozen=True)
class Written:
    """What was written: files, what is given beside them, and whether boxes come with them."""

    files: list[Path]
    beside: dict[str, Path]
    boxed: bool = True


def b64(values: Any, dtype: str = "<f4") -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def bottom_up_row(p: Made) -> str:
    cells = (p.id, p.width, p.height, len(p.features), b64(p.boxes), b64(p.features))
    return "\t".join(map(str, cells))


def bottom_up(folder: Path, made: Sequence[Made]) -> Written:
    text = "".join(bottom_up_row(p) + "\r\n" for p in made)
    (folder / "trainval.tsv").write_bytes(text.encode())
    return Written([folder / "trainval.tsv"], {})


def bottom_up_with_header(folder: Path, made: Sequence[Made]) -> Written:
    rows = ["image_id\timage_h\timage_w\tnum_boxes\tboxes\tfeatures"]
    for p in made:
        cells = (p.id, p.height, p.width, len(p.features), b64(p.boxes), b64(p.features))
        rows.append("\t".join(map(str, cells)))
    (folder / "headed.tsv").write_text("\n".join(rows))
    return Written([folder / "headed.tsv"], {})


def packed(folder: Path, made: Sequence[Made]) -> Written:
    half = len(made) // 2
    one, two = bottom_up(folder, made[:half]).files[0].read_bytes(), None
    (folder / "one.tsv.gz").write_bytes(gzip.compress(one))
    two = bottom_up(folder, made[half:]).files[0]
    with zipfile.ZipFile(folder / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(two, "trainval_36/two.tsv")
    return Written([folder / "one.tsv.gz", folder / "two.zip"], {})


def lxmert(folder: Path, made: Sequence[Made]) -> Written:
    rows = []
    for p in made:
        k = len(p.features)
        whole, part = b64(np.arange(k), "<i8"), b64(np.ones(k))
        cells = (p.name, p.height, p.width, whole, part, whole, part, k, b64(p.boxes),
                 b64(p.features))  # fmt: skip
        rows.append("\t".join(map(str, cells)) + "\r\n")
    (folder / "train2014_obj36.tsv").write_bytes("".join(rows).encode())
    return Written([folder / "train2014_obj36.tsv"], {})


def sizes(folder: Path, made: Sequence[Made]) -> Path:
    """COCO's annotations, for what says no sizes itself."""
    images = [
        {"id": p.id, "file_name": f"{p.name}.jpg", "width": p.width, "height": p.height}
        for p in made
    ]
    path = folder / "captions_val2014.json"
    path.write_text(json.dumps({"images": images, "annotations": []}))
    return path


def cocobu(folder: Path, made: Sequence[Made]) -> Written:
    for name in ("cocobu_att", "cocobu_fc", "cocobu_box"):
        (folder / name).mkdir()
    for p in made:
        np.savez_compressed(folder / "cocobu_att" / f"{p.id}.npz", feat=p.features)
        np.save(folder / "cocobu_fc" / f"{p.id}.npy", p.features.mean(0))
        np.save(folder / "cocobu_box" / f"{p.id}.npy", p.boxes)
    return Written([folder / "cocobu_att"], {"sizes": sizes(folder, made)})


def milvlg(folder: Path, made: Sequence[Made]) -> Written:
    inside = folder / "npz"
    inside.mkdir()
    for p in made:
        info = np.array({"objects_id": [1]}, dtype=object)
        np.savez_compressed(inside / f"{p.name}.jpg.npz", x=p.features, bbox=p.boxes,
                            num_bbox=len(p.boxes), image_h=p.height, image_w=p.width,
                            info=info)  # fmt: skip
    return Written([inside], {})


def xmodaler(folder: Path, made: Sequence[Made]) -> Written:
    inside = folder / "feats"
    inside.mkdir()
    for p in made:
        np.savez(inside / f"{p.id}.npz", features=p.features, boxes=p.boxes,
                 cls_prob=p.features, image_h=[p.height], image_w=[p.width])  # fmt: skip
    return Written([inside], {})


def uniter(folder: Path, made: Sequence[Made]) -> Written:
    inside = folder / "coco_val2014"
    inside.mkdir()
    for p in made:
        wide = np.concatenate([p.relative, p.relative[:, :3]], axis=1).astype(np.float16)
        np.savez(inside / f"coco_val2014_{p.id:012d}.npz", features=p.features.astype(np.float16),
                 norm_bb=wide, conf=np.ones(len(p.boxes), np.float16))  # fmt: skip
    return Written([inside], {})


def mmf(folder: Path, made: Sequence[Made]) -> Written:
    inside = folder / "mmf"
    inside.mkdir()
    for p in made:
        np.save(inside / f"{p.name}.npy", p.features)
        np.save(inside / f"{p.name}_info.npy", np.array({"bbox": p.boxes}, dtype=object))
    return Written([inside], {}, boxed=False)


def meshed_memory(folder: Path, made: Sequence[Made]) -> Written:
    with h5py.File(folder / "coco_detections.hdf5", "w") as file:
        for p in made:
            file[f"{p.id}_features"], file[f"{p.id}_boxes"] = p.features, p.boxes
            file[f"{p.id}_cls_prob"] = p.features
    return Written([folder / "coco_detections.hdf5"], {"sizes": sizes(folder, made)})


def one_dataset_each(folder: Path, made: Sequence[Made]) -> Written:
    with h5py.File(folder / "cocobu_att.h5", "w") as file:
        for p in made:
            file[str(p.id)] = p.features
    return Written([folder / "cocobu_att.h5"], {}, boxed=False)


def vl_t5(folder: Path, made: Sequence[Made]) -> Written:
    with h5py.File(folder / "val2014_obj36.h5", "w") as file:
        for p in made:
            group = file.create_group(p.name)
            group["features"], group["boxes"] = p.features, p.boxes
            group["img_w"], group["img_h"] = p.width, p.height
    return Written([folder / "val2014_obj36.h5"], {})


def bottom_up_vqa(folder: Path, made: Sequence[Made]) -> Written:
    with h5py.File(folder / "train36.hdf5", "w") as file:
        file["image_features"] = np.stack([p.features[:2] for p in made])
        relative = np.stack([p.relative[:2] for p in made])
        file["image_bb"] = np.stack([p.boxes[:2] for p in made])
        file["spatial_features"] = np.concatenate([relative, relative[..., :2]], axis=2)
    return Written([folder / "train36.hdf5"], {"ids": id_list(folder, made)})


def updown(folder: Path, made: Sequence[Made]) -> Written:
    with h5py.File(folder / "coco_train2017.h5", "w") as file:
        file["image_id"] = np.array([p.id for p in made])
        file["num_boxes"] = np.array([len(p.features) for p in made])
        flat = file.create_dataset("features", (len(made),), h5py.vlen_dtype(np.float32))
        for number, p in enumerate(made):
            flat[number] = p.features.reshape(-1)
    return Written([folder / "coco_train2017.h5"], {}, boxed=False)


def grit(folder: Path, made: Sequence[Made]) -> Written:
    features, mask = (
        np.zeros((len(made), 3, WIDTH), np.float32),
        np.ones((len(made), 1, 1, 3), bool),
    )
    for number, p in enumerate(made):
        features[number, : len(p.features)] = p.features
        mask[number, ..., : len(p.features)] = False
    with h5py.File(folder / "all_splits.h5", "w") as file:
        file["image_ids"], file["reg_feat"] = np.array([p.id for p in made]), features
        file["reg_mask"] = mask
    return Written([folder / "all_splits.h5"], {}, boxed=False)


def id_list(folder: Path, made: Sequence[Made]) -> Path:
    (folder / "ids.txt").write_text("".join(f"{p.name}\n" for p in made))
    return folder / "ids.txt"


def big_npy(folder: Path, made: Sequence[Made]) -> Written:
    np.save(folder / "all.npy", np.stack([p.features[:2] for p in made]))
    return Written([folder / "all.npy"], {"ids": id_list(folder, made)}, boxed=False)


def vinvl(folder: Path, made: Sequence[Made]) -> Written:
    rows, offsets = [], [0]
    for p in made:
        wide = np.zeros((len(p.features), 2054), np.float32)
        wide[:, :WIDTH], wide[:, 2048:2052] = p.features, p.relative
        value = {"num_boxes": len(p.features), "features": b64(wide)}
        rows.append(f"{p.id}\t{json.dumps(value)}\n")
        offsets.append(offsets[-1] + len(rows[-1]))
    (folder / "feature.tsv").write_text("".join(rows))
    (folder / "feature.lineidx").write_text("".join(f"{o}\n" for o in offsets[:-1]))
    return Written([folder / "feature.tsv"], {})


def three_cells(folder: Path, made: Sequence[Made]) -> Written:
    rows = [f"coco_{p.id}\t{len(p.features)}\t{b64(p.features)}\n" for p in made]
    (folder / "features.tsv").write_text("".join(rows))
    return Written([folder / "features.tsv"], {}, boxed=False)


def predictions(folder: Path, made: Sequence[Made]) -> Written:
    rows, sides = [], []
    for p in made:
        objects = [
            {"rect": box.tolist(), "class": "dog", "conf": 0.5, "feature": b64(row)}
            for box, row in zip(p.boxes, p.features, strict=True)
        ]
        rows.append(f"{p.id:012d}\t{json.dumps({'objects': objects, 'relations': []})}\n")
        sides.append(f'{p.id:012d}\t[{{"height": {p.height}, "width": {p.width}}}]\n')
    (folder / "predictions.tsv").write_text("".join(rows))
    (folder / "val.hw.tsv").write_text("".join(sides))
    return Written([folder / "predictions.tsv"], {"sizes": folder / "val.hw.tsv"})


WRITERS: dict[str, Callable[[Path, Sequence[Made]], Written]] = {
    w.__name__: w
    for w in (
        bottom_up, bottom_up_with_header, packed, lxmert, cocobu, milvlg, xmodaler, uniter, mmf,
        meshed_memory, one_dataset_each, vl_t5, bottom_up_vqa, updown, grit, big_npy, vinvl,
        three_cells, predictions,
    )
}  # fmt: skip
CUT_TO_TWO = ("bottom_up_vqa", "big_npy")
"""Tables, in which all pictures have as many rows."""
