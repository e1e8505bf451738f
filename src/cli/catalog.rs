//! `turnpike catalog`: what can be asked for, as files.

mod diff;
mod show;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, complain, say};
use crate::catalog::Catalog;
use crate::config::import::{self, Source};
use crate::config::sheet::Sheet;
use crate::config::{self, FILE_BYTES_MAX};

/// Check, compare, show or import catalogs.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Check catalog files, or the shipped catalog; the last line counts what they hold.
    Check {
        /// Catalog files, laid one over another in this order; none: the shipped catalog.
        files: Vec<PathBuf>,
    },
    /// What B has and A has not, the other way round, and prices that differ.
    Diff {
        /// A catalog file, or `shipped`.
        a: PathBuf,
        /// Another.
        b: PathBuf,
    },
    /// Show a model, its endpoints and their prices.
    Show {
        /// The model's id, or another name of it.
        model: String,
        /// Catalog files in place of the shipped catalog.
        #[arg(short, long)]
        file: Vec<PathBuf>,
    },
    /// Make a catalog file of what others publish.
    Import(Import),
}

/// What is imported.
#[derive(Args)]
pub(super) struct Import {
    /// Whose form the file has: openrouter, models.dev or litellm.
    #[arg(long)]
    from: String,
    /// The file.
    file: PathBuf,
    /// Answers of OpenRouter's `/models/{author}/{slug}/endpoints`.
    #[arg(long, num_args = 1..)]
    endpoints: Vec<PathBuf>,
    /// Where to write; absent: standard output.
    #[arg(short, long)]
    out: Option<PathBuf>,
}

impl Command {
    /// Runs the command.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Check { files } => check(&files),
            Self::Diff { a, b } => {
                let shipped = |path: &Path| path == Path::new("shipped");
                let of = |path: PathBuf| if shipped(&path) { Vec::new() } else { vec![path] };
                let ((_, a), (_, b)) = (read(&of(a))?, read(&of(b))?);
                diff::between(&a, &b).iter().for_each(say);
                Ok(())
            }
            Self::Show { model, file } => {
                let (_, catalog) = read(&file)?;
                let Some((model, how)) = catalog.resolve(&model) else {
                    return Err(Failure(format!("There is no model {model:?} in the catalog.")));
                };
                show::model(model, how).iter().for_each(say);
                Ok(())
            }
            Self::Import(import) => import.run(),
        }
    }
}

/// Reads and judges catalog files, or the shipped catalog.
fn read(files: &[PathBuf]) -> Result<(Sheet, Catalog), Failure> {
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        texts.push((path.display().to_string(), text(path)?));
    }
    config::judge_catalog(&texts)
        .map_err(|faults| Failure(format!("{faults}\n{} fault(s)", faults.0.len())))
}

fn text(path: &Path) -> Result<String, Failure> {
    config::read_file(path, FILE_BYTES_MAX)
        .map_err(|error| Failure(format!("{} cannot be read: {error}", path.display())))
}

fn check(files: &[PathBuf]) -> Result<(), Failure> {
    let (_, catalog) = read(files)?;
    let (models, providers) = (catalog.models().len(), catalog.providers().len());
    let endpoints = catalog.models().iter().map(|model| model.all_endpoints().count());
    let endpoints: usize = endpoints.sum();
    say(format_args!("{models} models, {providers} providers, {endpoints} endpoints"));
    Ok(())
}

impl Import {
    fn run(&self) -> Result<(), Failure> {
        let Some(source) = Source::parse(&self.from) else {
            let names = Source::NAMES.map(|(name, _)| name).join(", ");
            return Err(Failure(format!("--from must be one of {names}.")));
        };
        if source != Source::OpenRouter && !self.endpoints.is_empty() {
            return Err(Failure("--endpoints is of use with --from openrouter only.".to_owned()));
        }
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        for path in &self.endpoints {
            endpoints.push(text(path)?);
        }
        let import = import::import(source, &text(&self.file)?, &endpoints)
            .map_err(|wrong| Failure(format!("{} {wrong}", self.file.display())))?;
        let sheet = &import.sheet;
        match &self.out {
            Some(path) => {
                let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
                sheet.write(&mut file)?;
                file.flush()?;
            }
            None => sheet.write(&mut std::io::stdout().lock())?,
        }
        import.notes.iter().for_each(complain);
        complain(format_args!(
            "{} models, {} providers, {} endpoints; {} things were not taken over",
            sheet.models.len(),
            sheet.providers.len(),
            sheet.endpoints.len(),
            import.notes.len(),
        ));
        Ok(())
    }
}
