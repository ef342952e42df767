//! `hubless verify`: hash what is stored again.

use hubless_node::{
    Needs,
    api::{Absence, FailureKind, InModel, Verified, Verify},
};

use crate::{
    failure::{Error, Failure},
    text::{self, Align, Table},
    what::What,
    work::{Context, Events},
};

/// Rows that are printed; --json has more.
const ROWS_MAX: usize = 20;

/// Hash what is stored again, and list what is damaged or missing
///
/// Exit code 0 only if every file of every model that was asked for is here and right; 5 if bytes
/// are wrong, 7 if none is but some are missing. `hubless get HASH` then fetches what is wrong or
/// missing, and nothing else.
///
/// With --json: {"files","bytes","damaged","stale","unlisted","missing","absent"}: what was hashed,
/// the damaged files, how many files are changed in place, cannot be checked or are not here, and the
/// first 1,000 of these.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its name; without it everything is hashed
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: Option<What>,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let verified = context
        .session(Needs::Store, async |session| {
            let hash = match &args.what {
                Some(what) => Some(context.find(what, session).await?.hash()),
                None => None,
            };
            let call = session.call(Verify { hash });
            context.finish(call, &mut Events::drawn(output)).await
        })
        .await
        .map_err(|error| {
            error.if_interrupted(
                "interrupted before everything was hashed; nothing is lost",
                "run the same command again for a full answer".to_owned(),
            )
        })?;
    let rows = rows(&verified);
    if output.json {
        output.json(&verified)?;
    } else if rows.is_empty() {
        output.line(&format!("{}: all as they should be", hashed(&verified)))?;
    } else {
        output.lines(&table(&rows, wrong(&verified)))?;
    }
    match rows.first() {
        None => Ok(()),
        Some(first) => Err(failure(&verified, first).into()),
    }
}

/// A file that is not as it should be.
struct Row {
    state: &'static str,
    /// Its path in a model, or its hash.
    file: String,
    model: String,
    detail: String,
}

/// `13 files, 92.3 MB`
fn hashed(verified: &Verified) -> String {
    let files = text::count(verified.files, "file");
    format!("{files}, {}", text::size(verified.bytes))
}

/// Files that are not as they should be.
fn wrong(verified: &Verified) -> u64 {
    verified.damaged.len() as u64 + verified.stale + verified.unlisted + verified.missing
}

fn rows(verified: &Verified) -> Vec<Row> {
    let path = |path: &Option<std::path::PathBuf>| {
        let path = path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        path.unwrap_or_default()
    };
    let row = |state, hash: String, place: &Option<InModel>, detail| {
        let (file, model) = match place {
            Some(place) => {
                let hash = place.model.to_string()[..12].to_owned();
                let model = place.name.clone().unwrap_or(hash);
                (place.file.to_string(), model)
            }
            None => (hash, "-".to_owned()),
        };
        Row {
            state,
            file,
            model,
            detail,
        }
    };
    let damaged = verified.damaged.iter().map(|file| {
        let chunks = text::count(file.chunks, "wrong chunk");
        let detail = format!("{chunks} {}", path(&file.path));
        row("damaged", file.hash.to_string(), &file.in_model, detail)
    });
    let absent = verified.absent.iter().map(|file| {
        let state = match file.why {
            Absence::Stale => "changed",
            Absence::Unlisted => "unknown",
            Absence::Missing => "missing",
        };
        let hash = file.hash.to_string();
        row(state, hash, &file.in_model, path(&file.path))
    });
    damaged.chain(absent).collect()
}

fn table(rows: &[Row], wrong: u64) -> Vec<String> {
    let mut table = Table::new([
        ("STATE", Align::Left),
        ("FILE", Align::Left),
        ("MODEL", Align::Left),
        ("DETAIL", Align::Left),
    ]);
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    for row in shown {
        table.row([
            row.state.to_owned(),
            row.file.clone(),
            row.model.clone(),
            row.detail.trim().to_owned(),
        ]);
    }
    let mut lines = table.lines();
    match wrong - shown.len() as u64 {
        0 => {}
        more => lines.push(format!("and {}", text::count(more, "other file"))),
    }
    lines
}

/// `2 files damaged, 1 missing, beside 13 files, 92.3 MB, that were hashed; first: w.bin of acme/m`
fn failure(verified: &Verified, first: &Row) -> Failure {
    let counts = [
        (verified.damaged.len() as u64, "damaged"),
        (verified.unlisted, "not to be checked"),
        (verified.stale, "changed in place"),
        (verified.missing, "missing"),
    ];
    let counts = counts.into_iter().filter(|(files, _)| *files > 0);
    let counts: Vec<String> = counts
        .map(|(files, what)| format!("{} {what}", text::count(files, "file")))
        .collect();
    let message = format!(
        "{}; first: {} of {} ({} hashed)",
        counts.join(", "),
        first.file,
        first.model,
        hashed(verified)
    );
    if !verified.damaged.is_empty() || verified.unlisted > 0 {
        return Failure::new(FailureKind::Integrity, message).hint(
            "`hubless get HASH` fetches what is wrong again; `hubless ls` prints the hashes",
        );
    }
    let hint = match verified.stale {
        0 => "`hubless get HASH` fetches what is missing; `hubless ls` prints the hashes",
        _ => "restore the files or `hubless add` them again; `hubless get HASH` fetches them",
    };
    Failure::new(FailureKind::Partial, message).hint(hint)
}
