//! Tables of tensors.

use std::collections::BTreeMap;

use hubless_content::{Tensor, TensorFormat, Tensors, TensorsError};
use hubless_node::repos::{RepoFile, RepoTree, Repos};
use maud::{Markup, html};

use super::text;
use crate::http::error::ApiError;

/// Files of one page whose headers are read; a model in more has them on the files' own pages.
const FILES_MAX: usize = 8;

/// Tensors of one file that a page of a repo shows.
const TENSORS_SHOWN: usize = 400;

/// Characters of metadata that are shown at once.
const VALUE_CHARS_MAX: usize = 2000;

/// The tensors of one file.
pub(crate) struct FileTensors {
    pub(crate) file: RepoFile,
    read: Result<Tensors, TensorsError>,
}

/// The tensors of the first files of weights that are here.
pub(crate) async fn of_tree(repos: &Repos, tree: &RepoTree) -> Result<Vec<FileTensors>, ApiError> {
    let mut all = Vec::new();
    let weights = tree
        .files()
        .filter(|file| TensorFormat::of_path(file.path.as_str()).is_some());
    for file in weights.take(FILES_MAX) {
        all.extend(of_file(repos, file).await?);
    }
    Ok(all)
}

pub(crate) async fn of_file(
    repos: &Repos,
    file: RepoFile,
) -> Result<Option<FileTensors>, ApiError> {
    let read = repos.tensors(&file).await?;
    Ok(read.map(|read| FileTensors { file, read }))
}

/// Parameters by type, over all files: `22.7 M in F32`.
pub(crate) fn sum(all: &[FileTensors]) -> Option<String> {
    let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
    for tensors in all.iter().filter_map(|of| of.read.as_ref().ok()) {
        for tensor in &tensors.tensors {
            let sum = by_type.entry(&tensor.dtype).or_default();
            *sum = sum.saturating_add(tensor.parameters());
        }
    }
    let mut by_type: Vec<_> = by_type.into_iter().collect();
    by_type.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown = by_type
        .iter()
        .map(|(dtype, count)| format!("{} in {dtype}", text::parameters(*count)));
    (!by_type.is_empty()).then(|| shown.collect::<Vec<_>>().join(", "))
}

/// The files with their tensors, folded if there are several.
pub(crate) fn section(all: &[FileTensors]) -> Markup {
    html! {
        @for of in all {
            details open[all.len() == 1] {
                summary { code { (of.file.path) } " " span.muted { (summary(of)) } }
                (table(of, 0, TENSORS_SHOWN))
            }
        }
    }
}

fn summary(of: &FileTensors) -> String {
    match &of.read {
        Ok(tensors) => format!(
            "{}, {} parameters",
            text::count(tensors.tensors.len() as u64, "tensor"),
            text::parameters(tensors.parameters())
        ),
        Err(_) => "no tensors can be shown".to_owned(),
    }
}

/// Tensors from a position on, and what the header says beside them.
pub(crate) fn table(of: &FileTensors, from: usize, max: usize) -> Markup {
    let tensors = match &of.read {
        Ok(tensors) => tensors,
        Err(error) => {
            return html! { p.bad { "Its header is not to be trusted: " (error) "." } };
        }
    };
    let shown = tensors.tensors.iter().skip(from).take(max);
    let more = tensors
        .tensors
        .len()
        .saturating_sub(from.saturating_add(max));
    html! {
        @if !tensors.metadata.is_empty() {
            details {
                summary { "Metadata " span.muted { (text::count(tensors.metadata.len() as u64, "value")) } }
                (metadata(&tensors.metadata))
            }
        }
        div.scroll role="group" aria-label=(format!("Tensors of {}", of.file.path)) tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "Tensor" }
                        th scope="col" { "Shape" }
                        th scope="col" { "Type" }
                        th.right scope="col" { "Parameters" }
                    }
                }
                tbody { @for tensor in shown { (row(tensor)) } }
            }
        }
        @if more > 0 { p.muted { "and " (text::number(more as u64)) " more" } }
    }
}

/// How many tensors a file has.
pub(crate) fn len(of: &FileTensors) -> usize {
    of.read.as_ref().map_or(0, |tensors| tensors.tensors.len())
}

fn row(tensor: &Tensor) -> Markup {
    let shape: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
    html! {
        tr {
            td { code { (tensor.name) } }
            td { "[" (shape.join(", ")) "]" }
            td { (tensor.dtype) }
            td.right { (text::number(tensor.parameters())) }
        }
    }
}

fn metadata(values: &[(String, String)]) -> Markup {
    html! {
        dl.rows {
            @for (key, value) in values {
                dt { code { (key) } }
                dd { (value.chars().take(VALUE_CHARS_MAX).collect::<String>()) }
            }
        }
    }
}
