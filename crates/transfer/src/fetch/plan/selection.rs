//! Which files of a model are wanted.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use hubless_content::ModelPath;

/// A text that was given to choose files is no glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a glob: {reason}")]
pub struct BadGlob {
    /// The text, or all texts if only together they are too much.
    pub text: String,
    /// Why it is none.
    pub reason: globset::ErrorKind,
}

/// Globs over paths. As in `huggingface_hub`, `*` also matches `/`.
#[derive(Debug, Clone)]
pub struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    /// The files that match one of `include`, or all, without those that match one of `exclude`.
    ///
    /// # Errors
    /// If a text is no glob.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, BadGlob> {
        let include = if include.is_empty() {
            None
        } else {
            Some(globs(include)?)
        };
        Ok(Self {
            include,
            exclude: globs(exclude)?,
        })
    }

    /// Whether a file is among them.
    pub fn wants(&self, path: &ModelPath) -> bool {
        let path = path.as_str();
        self.include
            .as_ref()
            .is_none_or(|include| include.is_match(path))
            && !self.exclude.is_match(path)
    }
}

fn globs(texts: &[String]) -> Result<GlobSet, BadGlob> {
    let wrong = |text: &str, error: globset::Error| BadGlob {
        text: text.to_owned(),
        reason: error.kind().clone(),
    };
    let mut set = GlobSetBuilder::new();
    for text in texts {
        // A directory stands for what is in it.
        let whole = if text.ends_with('/') {
            format!("{text}*")
        } else {
            text.clone()
        };
        let glob = GlobBuilder::new(&whole).backslash_escape(true).build();
        set.add(glob.map_err(|error| wrong(text, error))?);
    }
    set.build().map_err(|error| wrong(&texts.join(" "), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(include: &[&str], exclude: &[&str]) -> Vec<&'static str> {
        let texts = |globs: &[&str]| {
            globs
                .iter()
                .map(|&glob| glob.to_owned())
                .collect::<Vec<_>>()
        };
        let selection = Selection::new(&texts(include), &texts(exclude)).unwrap();
        let paths = [
            "README.md",
            "model.safetensors",
            "onnx/model.onnx",
            "onnx/q/model.onnx",
        ];
        let wants = |path: &&str| selection.wants(&path.parse().unwrap());
        paths.into_iter().filter(wants).collect()
    }

    #[test]
    fn globs_choose() {
        assert_eq!(wanted(&[], &[]).len(), 4);
        assert_eq!(
            wanted(&["*.onnx"], &[]),
            ["onnx/model.onnx", "onnx/q/model.onnx"]
        );
        assert_eq!(wanted(&[], &["onnx/"]), ["README.md", "model.safetensors"]);
        assert_eq!(
            wanted(&["*.{md,onnx}"], &["*/q/*"]),
            ["README.md", "onnx/model.onnx"]
        );
    }

    #[test]
    fn a_wrong_glob_is_named() {
        let error = Selection::new(&["a[".to_owned()], &[]).unwrap_err();
        assert_eq!(error.text, "a[");
        assert!(error.to_string().contains("a["), "{error}");
    }
}
