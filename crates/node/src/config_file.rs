//! Changes of `config.toml` that keep everything else in it: comments, order, spaces.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, Item, Value};

use crate::config::{CONFIG_FILE, ConfigError, key_of, parse, read_text};

/// Sets a key to a value, given as text in the form of the environment variables: lists with
/// commas, texts without quotes. Creates the file if it is missing.
///
/// # Errors
/// [`ConfigError`] if the key or the value is not known, or the file has a mistake, cannot be read
/// or not be written; it is then as it was before.
pub fn set(home: &Path, key: &str, text: &str) -> Result<(), ConfigError> {
    let value = parse(key, text)?;
    let value: Value = value
        .to_string()
        .parse()
        .map_err(|error| ConfigError::Value {
            name: key.to_owned(),
            message: format!("{error}"),
        })?;
    change(home, |document| {
        match document.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            None => {
                document.insert(key, Item::Value(value));
            }
        }
    })
}

/// Removes a key, so that its default applies.
///
/// # Errors
/// As [`set`].
pub fn unset(home: &Path, key: &str) -> Result<(), ConfigError> {
    key_of(key)?;
    change(home, |document| {
        document.remove(key);
    })
}

fn change(home: &Path, edit: impl FnOnce(&mut DocumentMut)) -> Result<(), ConfigError> {
    let path = home.join(CONFIG_FILE);
    let text = read_text(&path)?.unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error| ConfigError::File {
        path: path.clone(),
        message: format!("{error}").trim_end().to_owned(),
    })?;
    edit(&mut document);
    write(home, &path, &document.to_string()).map_err(|source| ConfigError::Write { path, source })
}

/// Replaces the whole file atomically. A symbolic link stays one.
fn write(home: &Path, path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(home)?;
    let place = match fs::canonicalize(path) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let new = PathBuf::from(format!("{}.new", place.display()));
    fs::write(&new, text)?;
    if let Ok(old) = fs::metadata(&place) {
        fs::set_permissions(&new, old.permissions())?;
    }
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# How much we give.
limit_up = \"1MB\"  # at day

mdns = false
";

    fn after(edit: impl FnOnce(&Path)) -> String {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(CONFIG_FILE), FILE).unwrap();
        edit(home.path());
        fs::read_to_string(home.path().join(CONFIG_FILE)).unwrap()
    }

    #[test]
    fn all_else_in_the_file_stays() {
        let changed = after(|home| set(home, "limit_up", "2MB").unwrap());
        assert_eq!(changed, FILE.replace("1MB", "2MB"));
        let added =
            after(|home| set(home, "bootstrap", "/ip4/1.2.3.4/tcp/1,/dns4/b/tcp/2").unwrap());
        let line = "bootstrap = [\"/ip4/1.2.3.4/tcp/1\", \"/dns4/b/tcp/2\"]\n";
        assert_eq!(added, format!("{FILE}{line}"));
        assert_eq!(
            after(|home| unset(home, "mdns").unwrap()),
            FILE.replace("\nmdns = false\n", "")
        );
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        for (key, text) in [
            ("limit_up", "fast"),
            ("mdns", "perhaps"),
            ("bootstrap", "/b"),
            ("colour", "red"),
        ] {
            let kept = after(|home| {
                let error = set(home, key, text).unwrap_err();
                assert!(error.to_string().contains(key), "{error}");
            });
            assert_eq!(kept, FILE);
        }
        assert_eq!(after(|home| drop(unset(home, "colour").unwrap_err())), FILE);
    }

    #[test]
    fn a_file_is_made_if_there_is_none() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("new");
        set(&home, "quota", "5GB").unwrap();
        let text = fs::read_to_string(home.join(CONFIG_FILE)).unwrap();
        assert_eq!(text, "quota = \"5GB\"\n");
    }
}
