"""What the arrays of an NPZ file are called, and what is to be said of those that are called otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nnscratch.errors import did_you_mean

KEYS = {
    "train inputs": ("x_train", "X_train", "train_images", "train_x", "x", "X", "images", "data", "inputs", "features"),
    "train targets": ("y_train", "Y_train", "train_labels", "train_y", "y", "Y", "labels", "targets", "target"),
    "val inputs": ("x_val", "X_val", "x_valid", "X_valid", "x_validation", "val_images", "val_x"),
    "val targets": ("y_val", "Y_val", "y_valid", "Y_valid", "y_validation", "val_labels", "val_y"),
    "test inputs": ("x_test", "X_test", "test_images", "test_x"),
    "test targets": ("y_test", "Y_test", "test_labels", "test_y"),
}
"""What the arrays of each split are called, the first that is there."""
CLASS_KEYS = ("classes", "class_names", "label_names", "target_names")


def not_used(
    members: Collection[str], used: Collection[str], keys: Mapping[str, str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """What is left out of a file, and a sentence for each array that looks as if it was meant to be read.

    `keys` says which array is read in each role of KEYS.
    """
    free = [name for role, names in KEYS.items() if role not in keys for name in names]
    unused, said = [name for name in members if name not in used], []
    for name in unused:
        role = next((role for role, names in KEYS.items() if name in names and role in keys), None)
        if role is not None:
            said.append(f"{name} is not read, as {keys[role]} holds the {role}; take one of them out of the file")
        elif meant := did_you_mean(name, (*free, "sample_weight")):
            said.append(f"{name} is not read{meant}")
    return ({"arrays that are not used: " + ", ".join(unused): len(unused)} if unused else {}), tuple(said)
