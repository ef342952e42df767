//! Downloads a model with one of Rust's `hf-hub` crates, and compares it with its source.
//!
//! `hf-hub-clients 0.5|0.5-async|1.0 ORG NAME SOURCE`, with `HF_ENDPOINT` and `HF_HOME` set.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [client, org, name, source] = args.as_slice() else {
        return Err("CLIENT ORG NAME SOURCE".into());
    };
    let source = Path::new(source);
    match client.as_str() {
        "0.5" => old(&format!("{org}/{name}"), source),
        "0.5-async" => old_async(&format!("{org}/{name}"), source),
        "1.0" => new(org, name, source),
        other => Err(format!("no client {other}").into()),
    }
}

/// hf-hub 0.5 over ureq.
fn old(id: &str, source: &Path) -> Result<()> {
    use hf_hub_0::api::sync::ApiBuilder;
    let api = ApiBuilder::from_env().with_progress(false).build()?;
    let repo = api.model(id.to_owned());
    let info = repo.info()?;
    let listed = info.siblings.into_iter().map(|file| file.rfilename);
    assert_eq!(listed.collect::<BTreeSet<_>>(), files_of(source)?);
    for file in files_of(source)? {
        let path = repo.get(&file)?;
        assert!(path.to_string_lossy().contains(&info.sha), "{path:?}");
        same(&source.join(&file), &path)?;
        assert_eq!(repo.get(&file)?, path, "it is in the cache");
    }
    assert!(repo.get("no/such.file").is_err());
    assert!(api.model("nobody/nothing".to_owned()).info().is_err());
    Ok(())
}

/// hf-hub 0.5 over reqwest: parts of a file at once.
fn old_async(id: &str, source: &Path) -> Result<()> {
    use hf_hub_0::api::tokio::ApiBuilder;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let api = ApiBuilder::from_env().high().with_progress(false).build()?;
        let repo = api.model(id.to_owned());
        for file in files_of(source)? {
            same(&source.join(&file), &repo.get(&file).await?)?;
        }
        assert!(repo.get("no/such.file").await.is_err());
        Ok(())
    })
}

/// hf-hub 1.0, whose blocking interface calls the asynchronous one.
fn new(org: &str, name: &str, source: &Path) -> Result<()> {
    use hf_hub_1::{HFClientSync, HFError, repository::RepoTreeEntry};
    let client = HFClientSync::new()?;
    let repo = client.model(org, name);
    let snapshot = repo.snapshot_download().send()?;
    assert_eq!(files_of(&snapshot)?, files_of(source)?);
    for file in files_of(source)? {
        same(&source.join(&file), &snapshot.join(&file))?;
    }
    // Again: each request has the ETag of the cache.
    for file in files_of(source)? {
        let path = repo.download_file().filename(&file).send()?;
        same(&snapshot.join(&file), &path)?;
    }
    let weights = fs::read(source.join("model.safetensors"))?;
    let part = repo.download_file_to_bytes();
    let part = part.filename("model.safetensors").range(262_000..263_000);
    assert_eq!(part.send()?, weights[262_000..263_000]);

    let mut listed = BTreeSet::new();
    for entry in repo.list_tree().recursive(true).expand(true).send()? {
        if let RepoTreeEntry::File {
            path, last_commit, ..
        } = entry
        {
            assert!(last_commit.is_some(), "{path}");
            listed.insert(path);
        }
    }
    assert_eq!(listed, files_of(source)?);
    let paths = ["config.json", "1_Pooling", "no/such.file"].map(str::to_owned);
    assert_eq!(repo.get_paths_info().paths(paths.into()).send()?.len(), 2);
    let refs = repo.list_refs().send()?;
    assert_eq!(refs.branches.len(), 1);
    assert_eq!(repo.list_commits().send()?.len(), 1);
    assert!(repo.exists().send()? && repo.revision_exists().revision("main").send()?);
    assert!(repo.file_exists().filename("config.json").send()?);
    assert!(!repo.file_exists().filename("no/such.file").send()?);
    assert!(!client.model("nobody", "nothing").exists().send()?);
    let missing = repo.download_file().filename("no/such.file").send();
    assert!(
        matches!(missing, Err(HFError::EntryNotFound { .. })),
        "{missing:?}"
    );
    let missing = repo.info().revision("no-such-branch").send();
    assert!(
        matches!(missing, Err(HFError::RevisionNotFound { .. })),
        "{missing:?}"
    );
    let found = client.list_models().search(name).send()?;
    assert_eq!(found.len(), 1);
    Ok(())
}

/// The files below a directory, as paths with `/`.
fn files_of(directory: &Path) -> Result<BTreeSet<String>> {
    let (mut files, mut left) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(below) = left.pop() {
        for entry in fs::read_dir(directory.join(&below))? {
            let path = below.join(entry?.file_name());
            match directory.join(&path).is_dir() {
                true => left.push(path),
                false => drop(files.insert(path.to_string_lossy().into_owned())),
            }
        }
    }
    Ok(files)
}

fn same(expected: &Path, found: &Path) -> Result<()> {
    match fs::read(expected)? == fs::read(found)? {
        true => Ok(()),
        false => Err(format!("{} differs", found.display()).into()),
    }
}
