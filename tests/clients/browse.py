"""Sends all requests that huggingface_hub has for a model, also for missing content: REPO SOURCE."""

import hashlib
import json
import struct
import sys
from pathlib import Path

from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.utils import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

WEIGHTS = "model.safetensors"
NOTHING = "0" * 40


def main(repo, source):
    source = Path(source)
    api = HfApi()
    commit = info(api, repo, source)
    revisions(api, repo, commit)
    tree(api, repo, source, commit)
    files(repo, source, commit)
    file_system(repo, source)
    weights(api, repo, source)
    lists(api, repo)
    missing(api, repo)


def info(api, repo, source):
    found = api.repo_info(repo, files_metadata=True)
    assert found.id == repo and found.author == repo.split("/")[0]
    assert found.pipeline_tag == "sentence-similarity" and "sentence-transformers" in found.tags
    assert found.card_data.license == "apache-2.0"
    files = {file.rfilename: file for file in found.siblings}
    assert set(files) == set(files_of(source))
    for name, file in files.items():
        content = (source / name).read_bytes()
        assert file.size == len(content)
        if file.lfs:
            assert file.lfs.sha256 == hashlib.sha256(content).hexdigest()
            assert file.blob_id == git_blob(pointer(content))
        else:
            assert file.blob_id == git_blob(content)
    assert files[WEIGHTS].lfs and not files["config.json"].lfs
    other_case = api.model_info(repo.upper())
    assert (other_case.id, other_case.sha) == (repo, found.sha)
    assert api.model_info(repo, expand=["sha", "downloads"]).sha == found.sha
    return found.sha


def revisions(api, repo, commit):
    refs = api.list_repo_refs(repo)
    assert [(ref.name, ref.target_commit) for ref in refs.branches] == [("main", commit)]
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [("v1.0", "refs/tags/v1.0", commit)]
    commits = api.list_repo_commits(repo, formatted=True)
    assert [entry.commit_id for entry in commits] == [commit] and commits[0].title
    for revision in ["main", "refs/heads/main", "v1.0", commit, commit[:7]]:
        assert api.model_info(repo, revision=revision).sha == commit, revision
        assert api.revision_exists(repo, revision)


def tree(api, repo, source, commit):
    entries = list(api.list_repo_tree(repo, recursive=True, expand=True))
    assert {entry.path for entry in entries if hasattr(entry, "size")} == set(files_of(source))
    assert {entry.path for entry in entries if not hasattr(entry, "size")} == {"1_Pooling"}
    for entry in entries:
        assert entry.last_commit.oid == commit and entry.last_commit.date
    below = [entry.path for entry in api.list_repo_tree(repo, "1_Pooling")]
    assert below == ["1_Pooling/config.json"]
    asked = ["1_Pooling", "config.json", "no/such.file", "1_Pooling/config.json"]
    found = api.get_paths_info(repo, asked, expand=True)
    assert {entry.path for entry in found} == set(asked) - {"no/such.file"}


def files(repo, source, commit):
    content = (source / WEIGHTS).read_bytes()
    metadata = get_hf_file_metadata(hf_hub_url(repo, WEIGHTS))
    assert metadata.commit_hash == commit and metadata.size == len(content)
    assert metadata.etag == hashlib.sha256(content).hexdigest()
    small = get_hf_file_metadata(hf_hub_url(repo, "1_Pooling/config.json", revision=commit[:7]))
    assert small.etag == git_blob((source / "1_Pooling/config.json").read_bytes())
    assert Path(hf_hub_download(repo, "vocab.txt")).read_bytes() == (source / "vocab.txt").read_bytes()


def file_system(repo, source):
    files = HfFileSystem()
    assert {Path(path).name for path in files.ls(repo, detail=False)} == {path.name for path in source.iterdir()}
    assert files.glob(f"{repo}/*/config.json") == [f"{repo}/1_Pooling/config.json"]
    assert files.exists(f"{repo}@v1.0/config.json") and not files.exists(f"{repo}/no/such.file")
    assert files.info(f"{repo}/vocab.txt")["size"] == (source / "vocab.txt").stat().st_size
    content = (source / WEIGHTS).read_bytes()
    with files.open(f"{repo}/{WEIGHTS}") as remote:
        for offset in (1_000_000, 300_000, len(content) - 500):
            remote.seek(offset)
            assert remote.read(1000) == content[offset:offset + 1000], f"bytes at {offset} differ"
    assert files.cat_file(f"{repo}/{WEIGHTS}", start=262_143, end=262_145) == content[262_143:262_145]
    assert files.cat_file(f"{repo}/{WEIGHTS}", start=-7) == content[-7:]


def weights(api, repo, source):
    with open(source / WEIGHTS, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    metadata = api.get_safetensors_metadata(repo)
    tensors = metadata.files_metadata[WEIGHTS].tensors
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"
    }


def lists(api, repo):
    def ids(found):
        return [entry.id for entry in found]

    owner, name = repo.split("/")
    assert ids(api.list_models(search=name[1:].upper())) == [repo]
    assert ids(api.list_models(author=owner, filter="sentence-similarity", full=True, sort="downloads")) == [repo]
    assert ids(api.list_models(pipeline_tag="sentence-similarity", limit=1)) == [repo]
    assert not ids(api.list_models(search="no such model")) and not ids(api.list_datasets(search=name))
    assert api.repo_exists(repo) and api.file_exists(repo, "config.json") and api.auth_check(repo) is None


def missing(api, repo):
    fails(EntryNotFoundError, hf_hub_download, repo, "no/such.file")
    fails(EntryNotFoundError, lambda: list(api.list_repo_tree(repo, "no/such")))
    fails(EntryNotFoundError, lambda: list(api.list_repo_tree(repo, "config.json")))
    for revision in ["no-such-branch", "refs/pr/1", NOTHING]:
        fails(RevisionNotFoundError, hf_hub_download, repo, "config.json", revision=revision)
        assert not api.revision_exists(repo, revision)
    for nobody in ["nobody/nothing", "minilm", "sentence/minilm2"]:
        fails(RepositoryNotFoundError, hf_hub_download, nobody, "config.json")
        fails(RepositoryNotFoundError, api.model_info, nobody)
        fails(RepositoryNotFoundError, api.list_repo_refs, nobody)
        assert not api.repo_exists(nobody)
    fails(RepositoryNotFoundError, api.dataset_info, repo)
    assert not api.file_exists(repo, "no/such.file") and not api.revision_exists(repo, "v2")


def fails(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{call} {args} {kwargs} worked")


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def git_blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer(content):
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
