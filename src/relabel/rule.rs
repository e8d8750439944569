//! One rule, checked as Prometheus checks it.

use std::fmt;

use super::matcher::Matcher;
use super::pattern::PatternError;
use super::template::Template;
use crate::model::NameValidation;

/// What stands between the values of source labels, unless the rule says otherwise.
pub const DEFAULT_SEPARATOR: &str = ";";

/// What a rule matches, unless it says otherwise.
pub const DEFAULT_PATTERN: &str = "(.*)";

/// What is written, unless the rule says otherwise.
pub const DEFAULT_REPLACEMENT: &str = "$1";

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Action {
    /// Writes the replacement where the pattern matches.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops what is not equal to the target label.
    KeepEqual,
    /// Drops what is equal to the target label.
    DropEqual,
    /// Writes the remainder of a hash.
    HashMod,
    /// Copies labels whose name matches to other names.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Writes the values in lower case.
    Lowercase,
    /// Writes the values in upper case.
    Uppercase,
}

impl Action {
    /// All actions, in the order of Prometheus's documentation.
    pub const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// Reads the word, in letters of either case.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    fn needs_target_label(self) -> bool {
        !matches!(
            self,
            Self::Keep | Self::Drop | Self::LabelMap | Self::LabelDrop | Self::LabelKeep
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSettings {
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What stands between the values.
    pub separator: String,
    /// What the joined values must match; `None` where the rule does not say.
    pub regex: Option<String>,
    /// What the hash is divided by.
    pub modulus: u64,
    /// The label that is written.
    pub target_label: String,
    /// What is written.
    pub replacement: String,
    /// What to do.
    pub action: Action,
    /// Which names a label may have.
    pub names: NameValidation,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: DEFAULT_SEPARATOR.to_owned(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: DEFAULT_REPLACEMENT.to_owned(),
            action: Action::default(),
            names: NameValidation::default(),
        }
    }
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The pattern cannot be read.
    #[error("`regex` is not a regular expression that RE2 knows: {0}")]
    Pattern(PatternError),
    /// `hashmod` without `modulus`.
    #[error("action `hashmod` needs a `modulus` that is not zero")]
    NoModulus,
    /// No `target_label` where the action needs one.
    #[error("action `{0}` needs `target_label`")]
    NoTargetLabel(Action),
    /// A `target_label` that no label can have.
    #[error("`{1}` is no valid `target_label` for action `{0}`")]
    TargetLabel(Action, String),
    /// A `replacement` where the action has none.
    #[error("action `{0}` takes no `replacement`")]
    Replacement(Action),
    /// A `replacement` that would make names that no label can have.
    #[error("`{1}` is no valid `replacement` for action `{0}`")]
    InvalidReplacement(Action, String),
    /// More than an action takes.
    #[error("action `{0}` takes {1} and no other keys")]
    Superfluous(Action, &'static str),
}

impl RuleError {
    /// Returns the key that is wrong, by its name in Prometheus.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Pattern(_) => "regex",
            Self::NoModulus => "modulus",
            Self::NoTargetLabel(_) | Self::TargetLabel(..) => "target_label",
            Self::Replacement(_) | Self::InvalidReplacement(..) => "replacement",
            Self::Superfluous(..) => "action",
        }
    }
}

/// One rule, ready to be applied.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) settings: RuleSettings,
    pub(super) matcher: Matcher,
    pub(super) target: Template,
    pub(super) replacement: Template,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Rule {}

impl Rule {
    /// Checks a rule and makes it ready.
    pub fn new(settings: RuleSettings) -> Result<Self, RuleError> {
        let pattern = settings.regex.as_deref().unwrap_or(DEFAULT_PATTERN);
        let matcher = Matcher::new(pattern).map_err(RuleError::Pattern)?;
        check(&settings)?;
        Ok(Self {
            target: Template::new(&settings.target_label, matcher.names()),
            replacement: Template::new(&settings.replacement, matcher.names()),
            matcher,
            settings,
        })
    }

    /// Returns what was configured.
    pub fn settings(&self) -> &RuleSettings {
        &self.settings
    }
}

/// Prometheus's checks, in its order.
fn check(settings: &RuleSettings) -> Result<(), RuleError> {
    use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap};
    use Action::{Lowercase, Replace, Uppercase};
    let action = settings.action;
    let target = &settings.target_label;
    let is_default_replacement = settings.replacement == DEFAULT_REPLACEMENT;
    let is_default_rest =
        settings.modulus == 0 && settings.separator == DEFAULT_SEPARATOR && is_default_replacement;
    if settings.modulus == 0 && action == HashMod {
        return Err(RuleError::NoModulus);
    }
    if action.needs_target_label() && target.is_empty() {
        return Err(RuleError::NoTargetLabel(action));
    }
    let is_target = match action {
        Replace if target.contains('$') => is_name_template(target, settings.names),
        Replace | Lowercase | Uppercase | KeepEqual | DropEqual | HashMod => {
            settings.names.is_label_name(target)
        }
        _ => true,
    };
    if !is_target {
        return Err(RuleError::TargetLabel(action, target.clone()));
    }
    match action {
        Lowercase | Uppercase | KeepEqual | DropEqual if !is_default_replacement => {
            Err(RuleError::Replacement(action))
        }
        LabelMap if !is_name_template(&settings.replacement, settings.names) => Err(
            RuleError::InvalidReplacement(action, settings.replacement.clone()),
        ),
        DropEqual | KeepEqual if settings.regex.is_some() || !is_default_rest => Err(
            RuleError::Superfluous(action, "`source_labels` and `target_label`"),
        ),
        LabelDrop | LabelKeep
            if !settings.source_labels.is_empty() || !target.is_empty() || !is_default_rest =>
        {
            Err(RuleError::Superfluous(action, "`regex`"))
        }
        _ => Ok(()),
    }
}

/// Tells whether a name is valid whatever its `$name` and `${name}` stand for.
fn is_name_template(text: &str, names: NameValidation) -> bool {
    if names == NameValidation::Utf8 {
        return names.is_label_name(text);
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_first = rest.len() == text.len();
        if let Some(after) = rest.strip_prefix('$') {
            let (after, is_braced) = match after.strip_prefix('{') {
                Some(after) => (after, true),
                None => (after, false),
            };
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            let after_name = after.get(end..).unwrap_or_default();
            let after = if is_braced {
                after_name.strip_prefix('}')
            } else {
                Some(after_name)
            };
            match after {
                Some(after) if end > 0 => rest = after,
                _ => return false,
            }
        } else if is_word(first) && !(is_first && first.is_ascii_digit()) {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else {
            return false;
        }
    }
    !text.is_empty()
}
