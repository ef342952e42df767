"""A dataset of parquet files: `make FOLDER` writes one, `load REPO FOLDER` loads it from the hub and compares."""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = {"train": 20_000, "test": 500}
CARD = "---\nlicense: cc0-1.0\ntags:\n- sentences\n---\nSentences of random letters.\n"


def make(folder):
    chance = random.Random(1)
    data = Path(folder, "data")
    data.mkdir(parents=True)
    Path(folder, "README.md").write_text(CARD)
    for split, rows in ROWS.items():
        table = pa.table({
            "id": range(rows),
            "text": [f"{split} {chance.randbytes(100).hex()}" for _ in range(rows)],
            "labels": [[chance.randrange(5) for _ in range(row % 4)] for row in range(rows)],
        })
        pq.write_table(table, data / f"{split}-00000-of-00001.parquet")


def load(repo, folder):
    from datasets import get_dataset_split_names, load_dataset
    from huggingface_hub import HfApi

    assert sorted(get_dataset_split_names(repo)) == sorted(ROWS)
    streamed = load_dataset(repo, split="test", streaming=True)
    assert next(iter(streamed.skip(7)))["id"] == 7
    loaded = load_dataset(repo)
    assert set(loaded) == set(ROWS)
    for split in ROWS:
        source = pq.read_table(Path(folder, "data", f"{split}-00000-of-00001.parquet"))
        assert loaded[split].data.table.to_pylist() == source.to_pylist(), f"{split} differs"
    assert [found.id for found in HfApi().list_datasets(search="letters", filter="sentences")] == [repo]


if __name__ == "__main__":
    {"make": make, "load": load}[sys.argv[1]](*sys.argv[2:])
