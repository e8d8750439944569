//! What is wrong with a file: problems, and the list that gathers them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::secrets::{Exposures, Secrets, exposures};
use super::values::printable;
use crate::telemetry::chain;
use crate::tls;

pub(super) use crate::yaml::Position;

/// Problems shown at once; who has more will see the rest after mending these.
const SHOWN_MAX: usize = 100;

/// Problems kept: every one of them is text, and a large file could be wrong in each line.
const KEPT_MAX: usize = 10_000;

/// One thing that is wrong, or that is worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to us.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, in characters, from 1.
    pub column: u32,
    /// The key's place in the file, such as `poller_stream.urls`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// The remedy for a key that has no effect.
pub(super) const REMOVE: &str = "remove it";

impl Problem {
    /// Tells whether it is a warning of a key that has no effect, at the place of that key.
    pub fn is_no_effect(&self) -> bool {
        self.remedy == REMOVE
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, line, column, ..
        } = self;
        write!(f, "{file}:{line}:{column}: {}; {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with a file, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// Returns the problems, in the order of their lines.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render(&self.0).trim_end())
    }
}

impl std::error::Error for Problems {}

/// Writes problems, one a line; what is too many to read is only counted.
pub fn render(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .take(SHOWN_MAX)
        .map(Problem::to_string)
        .collect();
    let more = problems.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Where a problem of the whole file is reported.
pub(super) const START: Position = Position { line: 1, column: 1 };

/// A key's place: where it stands and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) at: Position,
    /// The whole path, such as `jobs.node.targets[0].url`.
    pub(super) path: String,
    /// Its last step, such as `url` or `targets[0]`.
    pub(super) name: String,
}

impl Place {
    /// The file as a whole.
    pub(super) fn root() -> Self {
        Self {
            at: START,
            path: String::new(),
            name: "the file".into(),
        }
    }

    /// Names the place in a sentence.
    pub(super) fn quoted(&self) -> String {
        if self.path.is_empty() {
            self.name.clone()
        } else {
            format!("`{}`", self.name)
        }
    }

    /// A key below this place.
    pub(super) fn key(&self, key: &str, at: Position) -> Self {
        let name = printable(key);
        let path = if self.path.is_empty() {
            name.clone()
        } else {
            format!("{}.{name}", self.path)
        };
        Self { at, path, name }
    }

    /// An item of the list at this place.
    pub(super) fn item(&self, index: usize, at: Position) -> Self {
        Self {
            at,
            path: format!("{}[{index}]", self.path),
            name: format!("{}[{index}]", self.name),
        }
    }

    /// The same thing, pointed at elsewhere.
    pub(super) fn at(&self, at: Position) -> Self {
        Self { at, ..self.clone() }
    }
}

/// A block of TLS settings.
#[derive(Debug, Clone)]
pub(super) struct TlsUse {
    /// Where it stands; nothing is wrong with it yet.
    block: Problem,
    settings: TlsSettings,
}

/// What TLS is for.
#[derive(Debug, Clone)]
pub(super) enum TlsSettings {
    /// Connections that we make.
    Client(tls::Settings),
    /// Our own pages.
    Server(tls::ServerSettings),
}

impl TlsSettings {
    fn verify(&self) -> Result<Vec<String>, tls::TlsError> {
        match self {
            Self::Client(settings) => settings.verify(),
            Self::Server(settings) => settings.verify(),
        }
    }
}

impl TlsUse {
    /// Reads the block's files, and returns what is wrong with them and what to know about them.
    pub(super) fn verify(&self) -> (Option<Problem>, Vec<Problem>) {
        let told = |what: String, remedy: &str| Problem {
            what,
            remedy: remedy.to_owned(),
            ..self.block.clone()
        };
        match self.settings.verify() {
            Ok(warnings) => {
                let warnings = warnings.into_iter();
                let warnings = warnings.map(|text| told(text, "have it renewed or fetched"));
                (None, warnings.collect())
            }
            // A configuration is often checked before its machine has been enrolled, or elsewhere.
            Err(error) if error.is_absence() => {
                let remedy = "connections need it; this program could not check it";
                (None, vec![told(chain(&error), remedy)])
            }
            Err(error) => {
                let remedy = "replace it; without it there are no connections";
                (Some(told(chain(&error), remedy)), Vec::new())
            }
        }
    }
}

/// Gathers problems and warnings while a file is read.
#[derive(Debug)]
pub(super) struct Report {
    file: Arc<str>,
    folder: PathBuf,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// What was found in other files, in the order in which they were read.
    others: Vec<Problem>,
    other_warnings: Vec<Problem>,
    secrets: Secrets,
    /// Those of other files.
    other_secrets: Vec<(Arc<str>, Secrets)>,
    tls: Vec<TlsUse>,
}

impl Report {
    /// An empty report on a file.
    pub(super) fn new(file: &str) -> Self {
        let folder = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
        Self {
            file: file.into(),
            folder: folder.to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
            others: Vec::new(),
            other_warnings: Vec::new(),
            secrets: Secrets::default(),
            other_secrets: Vec::new(),
            tls: Vec::new(),
        }
    }

    /// Returns the name of the file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Takes over what was found in another file, which this one names.
    pub(super) fn absorb(&mut self, mut other: Self) {
        let secrets = std::mem::take(&mut other.secrets);
        self.other_secrets.push((Arc::clone(&other.file), secrets));
        self.other_secrets.append(&mut other.other_secrets);
        self.tls.append(&mut other.tls);
        match other.finish() {
            Ok(warnings) => self.other_warnings.extend(warnings),
            Err(problems) => self.add(problems),
        }
    }

    /// Takes over problems of another file.
    pub(super) fn add(&mut self, problems: Problems) {
        self.others.extend(problems.0);
        self.others.truncate(KEPT_MAX);
    }

    /// Records that something is wrong.
    pub(super) fn problem(
        &mut self,
        place: &Place,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if !self.is_full() {
            let problem = self.note(place, what.into(), remedy.into());
            self.problems.push(problem);
        }
    }

    /// Records something that is accepted but is not what its author may believe.
    pub(super) fn warn(
        &mut self,
        place: &Place,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.warnings.len() < KEPT_MAX {
            let warning = self.note(place, what.into(), remedy.into());
            self.warnings.push(warning);
        }
    }

    /// Remembers a block whose files can be looked at later; the configuration itself reads none.
    pub(super) fn uses_tls(&mut self, place: &Place, settings: &tls::Settings) {
        self.uses(place, TlsSettings::Client(settings.clone()));
    }

    /// The same for what our own pages are served with.
    pub(super) fn serves_tls(&mut self, place: &Place, settings: &tls::ServerSettings) {
        self.uses(place, TlsSettings::Server(settings.clone()));
    }

    fn uses(&mut self, place: &Place, settings: TlsSettings) {
        self.tls.push(TlsUse {
            block: self.note(place, String::new(), String::new()),
            settings,
        });
    }

    /// Returns the blocks whose files can be looked at.
    pub(super) fn take_tls(&mut self) -> Vec<TlsUse> {
        std::mem::take(&mut self.tls)
    }

    fn note(&self, place: &Place, what: String, remedy: String) -> Problem {
        Problem {
            file: Arc::clone(&self.file),
            line: place.at.line,
            column: place.at.column,
            path: place.path.clone(),
            what,
            remedy,
        }
    }

    /// Records that a secret stands in the file itself.
    pub(super) fn inline_secret(&mut self, place: &Place) {
        self.secrets.inline(place);
    }

    /// Records the file that a secret stands in.
    pub(super) fn secret_file(&mut self, place: &Place, path: &Path) {
        self.secrets.file(place, path.to_owned());
    }

    /// Takes over where another reader of the same file found secrets and TLS.
    pub(super) fn take_files(&mut self, other: &mut Self) {
        self.secrets.extend(std::mem::take(&mut other.secrets));
        self.tls.append(&mut other.tls);
    }

    /// Looks at the modes of this file, of those that it names, and of secrets' files; what others
    /// can read is a problem if `is_strict`, and else a warning.
    pub(super) fn check_modes(&mut self, is_strict: bool) {
        let own = (Arc::clone(&self.file), std::mem::take(&mut self.secrets));
        let others = std::mem::take(&mut self.other_secrets);
        for (index, (file, secrets)) in std::iter::once(own).chain(others).enumerate() {
            let Exposures { to_all, to_group } = exposures(&file, &secrets);
            let (problems, warnings) = match index {
                0 => (&mut self.problems, &mut self.warnings),
                _ => (&mut self.others, &mut self.other_warnings),
            };
            warnings.extend(to_group);
            if is_strict { problems } else { warnings }.extend(to_all);
        }
    }

    /// Returns the path of a file that the configuration names: relative to its own folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Tells whether further problems are left out, so that their texts need not be made.
    pub(super) fn is_full(&self) -> bool {
        self.count() >= KEPT_MAX
    }

    /// Returns how many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len().saturating_add(self.others.len())
    }

    /// Returns the warnings if nothing is wrong, and the problems otherwise.
    pub(super) fn finish(self) -> Result<Vec<Problem>, Problems> {
        if self.count() == 0 {
            Ok([sorted(self.warnings), self.other_warnings].concat())
        } else {
            Err(Problems([sorted(self.problems), self.others].concat()))
        }
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    // What an alias repeats is wrong in one place only.
    problems.dedup_by(|later, earlier| {
        (later.line, later.column, &later.what) == (earlier.line, earlier.column, &earlier.what)
    });
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(count: usize) -> Vec<Problem> {
        let mut report = Report::new("folder/file.yaml");
        for line in 1..=count {
            let line = u32::try_from(line).unwrap();
            let at = Position { line, column: 3 };
            report.problem(&Place::root().key("jobs", at), "it is wrong", "mend it");
        }
        report.finish().unwrap_err().0
    }

    #[test]
    fn a_problem_is_one_line_with_its_place_first() {
        assert_eq!(
            render(&problems(1)),
            "folder/file.yaml:1:3: it is wrong; mend it\n"
        );
    }

    #[test]
    fn too_many_problems_are_counted() {
        let text = render(&problems(SHOWN_MAX + 7));
        assert_eq!(text.lines().count(), SHOWN_MAX + 1);
        assert!(text.ends_with("\nand 7 more\n"), "{text}");
    }

    #[test]
    fn the_same_problem_is_told_once() {
        let mut report = Report::new("f");
        for _ in 0..3 {
            report.problem(&Place::root(), "it is wrong", "mend it");
        }
        assert_eq!(report.finish().unwrap_err().as_slice().len(), 1);
    }

    #[test]
    fn files_are_relative_to_the_folder_of_the_configuration() {
        let report = Report::new("/etc/prometheus-streams/config.yaml");
        assert_eq!(
            report.resolve("token"),
            Path::new("/etc/prometheus-streams/token")
        );
        assert_eq!(report.resolve("/run/token"), Path::new("/run/token"));
        assert_eq!(
            Report::new("config.yaml").resolve("token"),
            Path::new("token")
        );
    }
}
