//! Certificate requests (PKCS #10).

use rcgen::{
    Attribute, CertificateParams, CustomExtension, DistinguishedName, DnType, PublicKeyData as _,
    SanType,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::attributes::{AltName, Attributes, VALUE_MAX};
use super::key::Key;
use crate::model::SecretError;
use crate::tls;

/// `challengePassword` (PKCS #9).
const CHALLENGE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 7];

/// ASN.1 tags.
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// Why no request can be made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The challenge's file cannot be read.
    #[error("cannot read the challenge")]
    Challenge(#[from] SecretError),
    /// The challenge is empty or far too long.
    #[error("the challenge must have from 1 to {VALUE_MAX} bytes")]
    ChallengeLength,
    /// The library refuses something.
    #[error("it cannot be made: {0}")]
    Make(String),
}

/// Makes a request for a name, signed by its key, as PEM.
pub(super) fn make(
    certname: &str,
    key: &Key,
    attributes: &Attributes,
) -> Result<String, RequestError> {
    let failed = |error: rcgen::Error| RequestError::Make(error.to_string());
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, certname);
    parameters.distinguished_name = name;
    if !attributes.alt_names.is_empty() {
        // A client that finds further names no longer looks at the common one.
        let own = AltName::Dns(certname.to_owned());
        for name in std::iter::once(&own).chain(attributes.alt_names.iter().filter(|n| **n != own))
        {
            let name = match name {
                AltName::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(failed)?),
                AltName::Ip(address) => SanType::IpAddress(*address),
            };
            parameters.subject_alt_names.push(name);
        }
    }
    for (oid, value) in &attributes.extensions {
        let content = tagged(UTF8_STRING, value.as_bytes());
        let extension = CustomExtension::from_oid_content(oid, content);
        parameters.custom_extensions.push(extension);
    }
    let mut besides = Vec::new();
    if let Some(challenge) = &attributes.challenge {
        let challenge = challenge.reveal()?;
        if challenge.is_empty() || challenge.len() > VALUE_MAX {
            return Err(RequestError::ChallengeLength);
        }
        besides.push(Attribute {
            oid: CHALLENGE,
            values: tagged(SET, &directory_string(&challenge)),
        });
    }
    let request = parameters.serialize_request_with_attributes(key, besides);
    request.and_then(|request| request.pem()).map_err(failed)
}

/// Tells whether a request as PEM is by a key; `None` if it cannot be read.
pub(super) fn is_by(key: &Key, text: &[u8]) -> Option<bool> {
    let blocks = tls::pem::blocks(text).ok()?;
    let (_, request) = X509CertificationRequest::from_der(&blocks.first()?.der).ok()?;
    let info = &request.certification_request_info.subject_pki;
    Some(info.raw == key.subject_public_key_info())
}

/// Encodes a text by the plainest type that can have it.
fn directory_string(text: &str) -> Vec<u8> {
    let is_printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let tag = if text.bytes().all(is_printable) {
        PRINTABLE_STRING
    } else {
        UTF8_STRING
    };
    tagged(tag, text.as_bytes())
}

/// Encodes a value as DER: tag, length, content.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => der.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let length = length.get(zeros..).unwrap_or_default();
            der.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            der.extend_from_slice(length);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use x509_parser::cri_attributes::ParsedCriAttribute;
    use x509_parser::extensions::ParsedExtension;

    use super::*;
    use crate::model::Secret;

    /// Puppet's own kind of key; made for this test.
    const RSA_KEY: &str = include_str!("../../tests/data/enroll/rsa_pkcs1.pem");
    const EC_KEY: &str = include_str!("../../tests/data/enroll/ec_sec1.pem");

    fn parsed(text: &str) -> Key {
        Key::read(&Secret::Inline(text.into())).unwrap()
    }

    #[track_caller]
    fn check(key: &str, attributes: &Attributes) -> Vec<u8> {
        let key = parsed(key);
        let text = make("usdc1.example.net", &key, attributes).unwrap();
        assert_eq!(is_by(&key, text.as_bytes()), Some(true));
        let der = tls::pem::blocks(text.as_bytes()).unwrap().remove(0).der;
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        request.verify_signature().unwrap();
        let subject = &request.certification_request_info.subject;
        assert_eq!(subject.to_string(), "CN=usdc1.example.net");
        der
    }

    #[test]
    fn every_kind_of_key_signs() {
        let none = Attributes::default();
        check(&Key::make().unwrap(), &none);
        check(RSA_KEY, &none);
        check(EC_KEY, &none);
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        check(&ed25519.serialize_pem(), &none);
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        check(&p384.serialize_pem(), &none);
    }

    #[test]
    fn a_request_of_another_key_is_known() {
        let (key, other) = (Key::make().unwrap(), Key::make().unwrap());
        let (key, other) = (parsed(&key), parsed(&other));
        let text = make("a", &key, &Attributes::default()).unwrap();
        assert_eq!(is_by(&other, text.as_bytes()), Some(false));
        assert_eq!(is_by(&other, b"garbage"), None);
    }

    #[test]
    fn facts_names_and_challenge_are_in_the_request() {
        let mut attributes = Attributes::default();
        attributes.add_extension("pp_role=poller").unwrap();
        let long = format!("pp_zone={}", "z".repeat(300));
        attributes.add_extension(&long).unwrap();
        attributes.add_alt_name("nats.example.net").unwrap();
        attributes.add_alt_name("IP:192.0.2.1").unwrap();
        attributes.set_challenge(Secret::Inline("s3cr@t".into()));
        let der = check(&Key::make().unwrap(), &attributes);
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        let challenge = request
            .certification_request_info
            .iter_attributes()
            .find_map(|attribute| match attribute.parsed_attribute() {
                ParsedCriAttribute::ChallengePassword(challenge) => Some(challenge.0.clone()),
                _ => None,
            });
        assert_eq!(challenge.as_deref(), Some("s3cr@t"));
        let mut names = Vec::new();
        for extension in request.requested_extensions().unwrap() {
            if let ParsedExtension::SubjectAlternativeName(san) = extension {
                names.extend(san.general_names.iter().map(ToString::to_string));
            }
        }
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(
            names.first().unwrap().contains("usdc1.example.net"),
            "{names:?}"
        );
        let role = b"\x0c\x06poller";
        assert!(der.windows(role.len()).any(|window| window == role));
        let zone = [&[UTF8_STRING, 0x82, 0x01, 0x2c][..], &[b'z'; 300]].concat();
        assert!(der.windows(zone.len()).any(|window| window == zone));
    }
}
