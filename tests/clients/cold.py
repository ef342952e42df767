"""Sends requests to a gateway that has no byte of a repo yet, and compares its responses with the source: REPO SOURCE."""

import hashlib
import sys
from pathlib import Path

from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url


def main(repo, source):
    api = HfApi()
    [listed] = api.list_models(author=repo.split("/")[0])
    assert listed.id == repo, listed
    info = api.model_info(repo, files_metadata=True)
    assert listed.sha == info.sha, (listed, info)
    siblings = {file.rfilename: file for file in info.siblings}
    tree = {file.path: file for file in api.list_repo_tree(repo, recursive=True)}
    asked = {file.path: file for file in api.get_paths_info(repo, list(tree))}
    files = sorted(path.name for path in Path(source).iterdir())
    for found in (siblings, tree, asked):
        assert sorted(found) == files, f"{sorted(found)} instead of {files}"
    for path in files:
        content = (Path(source) / path).read_bytes()
        git, sha256 = git_blob(content), hashlib.sha256(content).hexdigest()
        is_large = path.endswith(".safetensors")
        etag = get_hf_file_metadata(hf_hub_url(repo, path)).etag
        assert etag == (sha256 if is_large else git), f"{path}: ETag {etag}"
        for file in (siblings[path], tree[path], asked[path]):
            assert file.size == len(content), file
            if is_large:
                assert file.lfs.sha256 == sha256, file
            else:
                assert file.lfs is None and file.blob_id == git, file


def git_blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
