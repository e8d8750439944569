//! What a certificate request says besides the name: trusted facts, a challenge, further names.

use std::net::IpAddr;

use crate::model::Secret;
use crate::yaml::{self, Entry, Kind, shown};

/// The arc of what Puppet's CA copies into a certificate: trusted facts.
const PUPPET: [u64; 8] = [1, 3, 6, 1, 4, 1, 34380, 1];

/// The names of `1.3.6.1.4.1.34380.1.1.N`, from 1 on.
const REGISTERED: [&str; 26] = [
    "pp_uuid",
    "pp_instance_id",
    "pp_image_name",
    "pp_preshared_key",
    "pp_cost_center",
    "pp_product",
    "pp_project",
    "pp_application",
    "pp_service",
    "pp_employee",
    "pp_created_by",
    "pp_environment",
    "pp_role",
    "pp_software_version",
    "pp_department",
    "pp_cluster",
    "pp_provisioner",
    "pp_region",
    "pp_datacenter",
    "pp_zone",
    "pp_network",
    "pp_securitypolicy",
    "pp_cloudplatform",
    "pp_apptier",
    "pp_hostname",
    "pp_owner",
];

/// The names of `1.3.6.1.4.1.34380.1.3.N`.
const AUTHORIZATION: [(&str, u64); 4] = [
    ("pp_authorization", 1),
    ("pp_auth_auto_renew", 2),
    ("pp_auth_role", 13),
    ("pp_cli_auth", 39),
];

/// The challenge's object identifier (PKCS #9), as files may name it.
const CHALLENGE_OID: &str = "1.2.840.113549.1.9.7";
const CHALLENGE: &str = "challengePassword";

/// The longest value: a fact is a word, a challenge at most a token with its signature.
pub(super) const VALUE_MAX: usize = 16 << 10;

/// More extensions than there are names for is a mistake.
const EXTENSIONS_MAX: usize = 64;

/// More names than that no server has.
const ALT_NAMES_MAX: usize = 100;

/// The longest object identifier: Puppet's own have ten numbers.
const OID_MAX: usize = 32;

/// What a request says besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Trusted facts, by object identifier.
    pub(super) extensions: Vec<(Vec<u64>, String)>,
    /// What an autosigning policy may ask for.
    pub(super) challenge: Option<Secret>,
    /// Further names of a server.
    pub(super) alt_names: Vec<AltName>,
}

/// A further name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AltName {
    Dns(String),
    Ip(IpAddr),
}

/// Why an attribute cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// It is not `NAME=VALUE`.
    #[error("`{0}` is not an extension; write `NAME=VALUE`, such as `pp_role=poller`")]
    Form(String),
    /// There is no such extension.
    #[error(
        "`{0}` is no extension that a Puppet CA signs; write one of Puppet's names, such as \
         `pp_role`, or an object identifier below 1.3.6.1.4.1.34380.1"
    )]
    Name(String),
    /// The value is empty or far too long.
    #[error("the value of `{0}` must have from 1 to {VALUE_MAX} bytes")]
    Value(String),
    /// An extension is given twice.
    #[error("the extension `{0}` is given twice")]
    Twice(String),
    /// There are too many.
    #[error("there are more than {0} of them")]
    TooMany(usize),
    /// A name that no certificate can have.
    #[error("`{0}` is no further name; write a host name, `DNS:name` or `IP:address`")]
    AltName(String),
    /// The file of attributes is not good.
    #[error("line {line}: {what}")]
    File {
        /// Where.
        line: u32,
        /// What is wrong.
        what: String,
    },
    /// An attribute that we do not send.
    #[error(
        "`{0}` is no attribute that is supported here; only `challengePassword` is, the others \
         belong under `extension_requests`"
    )]
    Custom(String),
}

impl Attributes {
    /// Adds a trusted fact, given as `NAME=VALUE`.
    pub fn add_extension(&mut self, text: &str) -> Result<(), AttributesError> {
        let form = || AttributesError::Form(shown(text));
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        self.extend(name.trim(), value)
    }

    /// Adds a trusted fact; its name is one of Puppet's, or an object identifier.
    pub fn extend(&mut self, name: &str, value: &str) -> Result<(), AttributesError> {
        let oid = oid_of(name).ok_or_else(|| AttributesError::Name(shown(name)))?;
        if value.is_empty() || value.len() > VALUE_MAX {
            return Err(AttributesError::Value(shown(name)));
        }
        if self.extensions.iter().any(|(known, _)| *known == oid) {
            return Err(AttributesError::Twice(shown(name)));
        }
        if self.extensions.len() == EXTENSIONS_MAX {
            return Err(AttributesError::TooMany(EXTENSIONS_MAX));
        }
        self.extensions.push((oid, value.to_owned()));
        Ok(())
    }

    /// Sets what an autosigning policy may ask for.
    pub fn set_challenge(&mut self, challenge: Secret) {
        self.challenge = Some(challenge);
    }

    /// Adds a further name: a host's, or an address after `IP:`.
    pub fn add_alt_name(&mut self, text: &str) -> Result<(), AttributesError> {
        let wrong = || AttributesError::AltName(shown(text));
        let name = if let Some(address) = text.strip_prefix("IP:") {
            AltName::Ip(address.trim().parse().map_err(|_invalid| wrong())?)
        } else {
            let name = text.strip_prefix("DNS:").unwrap_or(text).trim();
            // A wildcard is what no Puppet CA signs.
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let is_name = (1..=253).contains(&name.len()) && name.bytes().all(is_part);
            AltName::Dns(is_name.then(|| name.to_owned()).ok_or_else(wrong)?)
        };
        if self.alt_names.len() == ALT_NAMES_MAX {
            return Err(AttributesError::TooMany(ALT_NAMES_MAX));
        }
        if !self.alt_names.contains(&name) {
            self.alt_names.push(name);
        }
        Ok(())
    }

    /// Adds what stands in the text of a Puppet agent's `csr_attributes.yaml`.
    pub fn add_file(&mut self, text: &str) -> Result<(), AttributesError> {
        let document = yaml::parse(text);
        if let Some(fault) = document.faults.first() {
            return Err(at(fault.at.line, fault.what.clone()));
        }
        let Some(root) = &document.root else {
            return Ok(());
        };
        for block in entries(&root.kind, root.at.line)? {
            match &*block.key {
                "custom_attributes" => {
                    for entry in entries(&block.value.kind, block.at.line)? {
                        self.add_custom(entry)?;
                    }
                }
                "extension_requests" => {
                    for entry in entries(&block.value.kind, block.at.line)? {
                        let value = scalar(entry)?;
                        let added = self.extend(entry.key.trim_start_matches(':'), value);
                        added.map_err(|error| at(entry.at.line, error.to_string()))?;
                    }
                }
                other => {
                    let what = format!(
                        "unknown key `{}`; known are `custom_attributes` and `extension_requests`",
                        yaml::printable(other)
                    );
                    return Err(at(block.at.line, what));
                }
            }
        }
        Ok(())
    }

    fn add_custom(&mut self, entry: &Entry) -> Result<(), AttributesError> {
        let name = entry.key.trim_start_matches(':');
        if name != CHALLENGE && name != CHALLENGE_OID {
            let error = AttributesError::Custom(yaml::printable(name));
            return Err(at(entry.at.line, error.to_string()));
        }
        let value = scalar(entry)?;
        if value.is_empty() || value.len() > VALUE_MAX {
            let error = AttributesError::Value(CHALLENGE.to_owned());
            return Err(at(entry.at.line, error.to_string()));
        }
        self.set_challenge(Secret::Inline(value.into()));
        Ok(())
    }
}

fn at(line: u32, what: String) -> AttributesError {
    AttributesError::File { line, what }
}

fn entries(kind: &Kind, line: u32) -> Result<&[Entry], AttributesError> {
    match kind {
        Kind::Map(entries) => Ok(entries),
        Kind::Null => Ok(&[]),
        Kind::Scalar(_) | Kind::List(_) => Err(at(line, "expected a mapping".to_owned())),
    }
}

fn scalar(entry: &Entry) -> Result<&str, AttributesError> {
    match &entry.value.kind {
        Kind::Scalar(text) => Ok(text),
        other => {
            let found = match other {
                Kind::List(_) => "a list",
                Kind::Map(_) => "a mapping",
                Kind::Null | Kind::Scalar(_) => "nothing",
            };
            let name = yaml::printable(&entry.key);
            Err(at(
                entry.at.line,
                format!("`{name}` must be a single value, not {found}"),
            ))
        }
    }
}

/// Returns the object identifier of an extension that a Puppet CA signs.
fn oid_of(name: &str) -> Option<Vec<u64>> {
    let below = |arc: u64, number: u64| PUPPET.into_iter().chain([arc, number]).collect();
    if let Some(index) = REGISTERED.iter().position(|known| *known == name) {
        return Some(below(1, u64::try_from(index).ok()? + 1));
    }
    if let Some((_, number)) = AUTHORIZATION.iter().find(|(known, _)| *known == name) {
        return Some(below(3, *number));
    }
    let numbers: Option<Vec<u64>> = name
        .split('.')
        .take(OID_MAX + 1)
        .map(|number| {
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            // The library's own limit for one number; none of Puppet's comes near.
            let number: u32 = number.parse().ok().filter(|_| is_number)?;
            Some(u64::from(number))
        })
        .collect();
    numbers.filter(|numbers| {
        (PUPPET.len() + 2..=OID_MAX).contains(&numbers.len()) && numbers.starts_with(&PUPPET)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let oid: Vec<String> = oid_of(name).unwrap().iter().map(u64::to_string).collect();
        assert_eq!(oid.join("."), expected);
    }

    #[test]
    fn knows_puppets_names() {
        check("pp_uuid", "1.3.6.1.4.1.34380.1.1.1");
        check("pp_environment", "1.3.6.1.4.1.34380.1.1.12");
        check("pp_role", "1.3.6.1.4.1.34380.1.1.13");
        check("pp_owner", "1.3.6.1.4.1.34380.1.1.26");
        check("pp_auth_role", "1.3.6.1.4.1.34380.1.3.13");
        check("1.3.6.1.4.1.34380.1.2.4.7", "1.3.6.1.4.1.34380.1.2.4.7");
    }

    #[test]
    fn refuses_what_a_puppet_ca_does_not_sign() {
        for name in [
            "",
            "role",
            "pp_",
            "2.5.29.17",
            "1.3.6.1.4.1.34380.1",
            "1.3.6.1.4.1.34380.1.1",
            "1.3.6.1.4.1.34380.1.1.",
            "1.3.6.1.4.1.34380.1.1.x",
            "1.3.6.1.4.1.34380.1.1.-1",
            "1.3.6.1.4.1.34380.1.1.99999999999999999999",
        ] {
            assert_eq!(oid_of(name), None, "{name}");
        }
        let mut attributes = Attributes::default();
        assert!(attributes.add_extension("pp_role").is_err());
        assert!(attributes.add_extension("pp_role=").is_err());
        attributes.add_extension("pp_role=a=b").unwrap();
        assert_eq!(attributes.extensions.first().unwrap().1, "a=b");
        let twice = AttributesError::Twice("pp_role".to_owned());
        assert_eq!(attributes.add_extension("pp_role=c"), Err(twice));
    }

    #[test]
    fn reads_a_puppet_agents_file() {
        let mut attributes = Attributes::default();
        let text = "---\ncustom_attributes:\n  1.2.840.113549.1.9.7: hunter2\n\
                    extension_requests:\n  pp_role: poller\n  :pp_zone: z1\n  \
                    1.3.6.1.4.1.34380.1.2.1: own\n";
        attributes.add_file(text).unwrap();
        assert_eq!(attributes.extensions.len(), 3);
        let challenge = attributes.challenge.as_ref().unwrap();
        assert_eq!(challenge.reveal().unwrap(), "hunter2");
        assert!(!format!("{attributes:?}").contains("hunter2"));
    }

    #[test]
    fn names_the_line_of_what_is_wrong_in_a_file() {
        for (text, expected) in [
            ("- a\n", "line 1: expected a mapping"),
            (
                "extensions:\n",
                "line 1: unknown key `extensions`; known are",
            ),
            (
                "extension_requests:\n  role: x\n",
                "line 2: `role` is no extension",
            ),
            (
                "extension_requests:\n  pp_role: [x]\n",
                "line 2: `pp_role` must be a single value",
            ),
            (
                "custom_attributes:\n  1.2.3: x\n",
                "line 2: `1.2.3` is no attribute",
            ),
            (
                "custom_attributes:\n  challengePassword:\n",
                "line 2: `challengePassword` must be",
            ),
        ] {
            let error = Attributes::default().add_file(text).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        Attributes::default().add_file("").unwrap();
        Attributes::default()
            .add_file("extension_requests:\n")
            .unwrap();
    }

    #[test]
    fn reads_further_names() {
        let mut attributes = Attributes::default();
        for name in [
            "nats.example.net",
            "DNS:nats",
            "IP:192.0.2.1",
            "IP:2001:db8::1",
            "nats",
        ] {
            attributes.add_alt_name(name).unwrap();
        }
        assert_eq!(attributes.alt_names.len(), 4);
        for name in ["", "*.example.net", "IP:x", "a b", "a/b", "é"] {
            assert!(attributes.add_alt_name(name).is_err(), "{name}");
        }
    }
}
