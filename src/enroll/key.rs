//! Our private key.

use std::fmt;
use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::SigningKey;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::model::Secret;
use crate::tls::{self, TlsError};

/// How the kinds of keys sign a request.
const KINDS: [(SignatureScheme, &SignatureAlgorithm); 4] = [
    (SignatureScheme::RSA_PKCS1_SHA256, &rcgen::PKCS_RSA_SHA256),
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
    ),
    (
        SignatureScheme::ECDSA_NISTP384_SHA384,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ),
    (SignatureScheme::ED25519, &rcgen::PKCS_ED25519),
];

/// A key pair that can sign; never shown.
pub(super) struct Key {
    signing: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    algorithm: &'static SignatureAlgorithm,
    /// The public half as it stands in a certificate.
    info: Vec<u8>,
    /// Its bits alone.
    public: Vec<u8>,
}

/// Why a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read, or holds something else.
    #[error(transparent)]
    Read(#[from] TlsError),
    /// It is of another kind than we can use.
    #[error("it is neither an RSA key of 2048 to 8192 bits nor an EC key on P-256 or P-384")]
    Kind,
    /// None can be made.
    #[error("no key could be made: {0}")]
    Make(String),
}

impl Key {
    /// Makes a key of the kind that every Puppet CA signs, and returns it as PEM.
    pub(super) fn make() -> Result<String, KeyError> {
        let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
        made.map(|key| key.serialize_pem())
            .map_err(|error| KeyError::Make(error.to_string()))
    }

    /// Reads a key in one of the forms that Puppet and openssl write.
    pub(super) fn read(key: &Secret) -> Result<Self, KeyError> {
        let key = &tls::private_key(key)?;
        let signing = any_supported_type(key).map_err(|_unsupported| KeyError::Kind)?;
        let kind = KINDS.iter().find_map(|(scheme, algorithm)| {
            signing
                .choose_scheme(&[*scheme])
                .map(|_| (*scheme, *algorithm))
        });
        let (scheme, algorithm) = kind.ok_or(KeyError::Kind)?;
        let info = signing.public_key().ok_or(KeyError::Kind)?.to_vec();
        let (_, parsed) =
            SubjectPublicKeyInfo::from_der(&info).map_err(|_malformed| KeyError::Kind)?;
        let public = parsed.subject_public_key.data.to_vec();
        Ok(Self {
            signing,
            scheme,
            algorithm,
            info,
            public,
        })
    }

    /// Returns the public half as it stands in a certificate.
    pub(super) fn info(&self) -> &[u8] {
        &self.info
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.signing.choose_scheme(&[self.scheme]);
        let signer = signer.ok_or(rcgen::Error::RemoteKeyError)?;
        let signed = signer.sign(message);
        signed.map_err(|_failed| rcgen::Error::RemoteKeyError)
    }
}
