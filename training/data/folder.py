"""A folder of images: one folder per class, whose name is the class, or such folders per split.

    root/cat/1.png, root/dog/1.png                     divided by the seed
    root/train/cat/1.png, root/test/cat/1.png, ...     splits that aren't there are divided off train

Hidden files and folders are left out.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from training.data.config import DatasetConfig
from training.data.corruption import Images
from training.data.decoding import read_image
from training.data.sources import Sources
from training.data.splits import FRACTIONS, RowNumbers, divide
from training.errors import DatasetError

SPLIT_OF_FOLDER = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "calibration": "calibration",
    "test": "test",
}
# So many unreadable files an error names.
NUM_NAMED = 5


class File(NamedTuple):
    path: Path
    split: str
    label: int


def load_folder(config: DatasetConfig) -> Sources:
    """Every file of every class, resized to (H, W), RGB.

    Raises DatasetError where classes are too few, too small or not the same in all splits, and where files
    can't be read as images, unless `config.skip_bad` leaves them out.
    """
    if config.data_root is None or config.image_size is None:
        raise DatasetError("a folder data set needs a data root and an image size")
    folders = _split_folders(config.data_root)
    classes = _classes(folders)
    files = _list_files(folders, classes)
    # Before anything is read, so that a class that is too small is found out at once.
    rows = _divide(files, folders, classes, config.split_seed)
    images, kept, skipped = _read(files, config.data_root, config.image_size)
    if skipped:
        _check_may_skip(config, skipped, len(files))
        rows = _divide(kept, folders, classes, config.split_seed)
    return Sources(
        images=images,
        labels=_labels(kept),
        classes=classes,
        rows=rows,
        num_divided=sum(file.split == "train" for file in kept),
        skipped=skipped,
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split that is there, train first. Without ready-made splits all of root is train."""
    found = _visible_folders(root)
    names = {folder.name for folder in found}
    is_split = "train" in names and names <= set(SPLIT_OF_FOLDER) and _visible_folders(root / "train")
    if not is_split:
        return {"train": root}
    if {"validation", "val"} <= names:
        raise DatasetError(f"{root} holds both validation and val: only one can be the validation split")
    folders = {SPLIT_OF_FOLDER[folder.name]: folder for folder in found}
    return {split: folders[split] for split in FRACTIONS if split in folders}


def _classes(folders: dict[str, Path]) -> tuple[str, ...]:
    """The classes of train, which the other splits must have too."""
    of_split = {split: [path.name for path in _visible_folders(folder)] for split, folder in folders.items()}
    classes = of_split["train"]
    if len(classes) < 2:
        raise DatasetError(f"{folders['train']} holds {len(classes)} class folders, at least 2 are needed")
    for split, names in of_split.items():
        if names != classes:
            differences = [f"missing {name}" for name in classes if name not in names]
            differences += [f"extra {name}" for name in names if name not in classes]
            raise DatasetError(
                f"split {split} in {folders[split]} has other classes than train: {', '.join(differences)}"
            )
    return tuple(classes)


def _list_files(folders: dict[str, Path], classes: tuple[str, ...]) -> list[File]:
    """Train's files first."""
    return [
        File(path, split, label)
        for split, folder in folders.items()
        for label, class_name in enumerate(classes)
        for path in _visible(folder / class_name)
    ]


def _divide(
    files: list[File], folders: dict[str, Path], classes: tuple[str, ...], seed: int
) -> dict[str, RowNumbers]:
    """The rows of each split: those of a folder of its own, or a share of train's."""
    _check_none_empty(files, folders, classes)
    splits = np.array([file.split for file in files])
    train_labels = _labels([file for file in files if file.split == "train"])
    rows = divide(train_labels, classes, _fractions(folders), seed)
    rows |= {split: np.flatnonzero(splits == split) for split in folders if split != "train"}
    return {split: rows[split] for split in FRACTIONS}


def _check_none_empty(files: list[File], folders: dict[str, Path], classes: tuple[str, ...]) -> None:
    present = {(file.split, file.label) for file in files}
    for split, folder in folders.items():
        for label, class_name in enumerate(classes):
            if (split, label) not in present:
                raise DatasetError(f"class {class_name!r} has no image that can be read in {folder}")


def _fractions(folders: dict[str, Path]) -> dict[str, float]:
    """The shares of train and of the splits that have no folder, in their usual proportions."""
    shares = {split: share for split, share in FRACTIONS.items() if split == "train" or split not in folders}
    total = sum(shares.values())
    return {split: share / total for split, share in shares.items()}


def _read(
    files: list[File], root: Path, image_size: tuple[int, int]
) -> tuple[Images, list[File], tuple[str, ...]]:
    """uint8 (N, H, W, 3) of the files that can be read, these files, and "path: reason" for the others."""
    # Filled in place: the images are never held twice.
    images = np.empty((len(files), *image_size, 3), dtype=np.uint8)
    kept: list[File] = []
    skipped: list[str] = []
    for file in files:
        try:
            images[len(kept)] = read_image(file.path, image_size)
        except DatasetError as error:
            skipped.append(f"{file.path.relative_to(root).as_posix()}: {error}")
        else:
            kept.append(file)
    return images[: len(kept)], kept, tuple(skipped)


def _check_may_skip(config: DatasetConfig, skipped: tuple[str, ...], num_files: int) -> None:
    if not config.skip_bad:
        more = ["..."] if len(skipped) > NUM_NAMED else []
        raise DatasetError(
            f"{len(skipped)} of {num_files} files in {config.data_root} can't be read as images, --skip-bad "
            f"leaves them out: {'; '.join([*skipped[:NUM_NAMED], *more])}"
        )


def _labels(files: list[File]) -> RowNumbers:
    return np.array([file.label for file in files], dtype=np.int64)


def _visible_folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
