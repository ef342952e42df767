//! Which files of a model are wanted.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use hubless_content::ModelPath;

use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
};

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
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, Failure> {
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

fn globs(texts: &[String]) -> Result<GlobSet, Failure> {
    let wrong = |text: &str, error: globset::Error| {
        Failure::new(
            FailureKind::Usage,
            format!("{text:?} is not a glob: {}", error.kind()),
        )
        .remedy(Remedy::WriteGlobs)
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
        let failure = Selection::new(&["a[".to_owned()], &[]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Usage);
        assert!(failure.message.contains("a["), "{}", failure.message);
    }
}
