//! Who we are to NATS.
//!
//! Read at each connection, so that a secret that was replaced is used from the next one on, and a
//! connection that is refused for an old secret mends itself.

use std::path::Path;

use async_nats::ServerAddr;
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;

use super::{Auth, BusError, Settings};
use crate::model::Secret;

/// What we identify ourselves by; it cannot be printed.
pub(super) enum Credentials {
    /// What stands in the configuration, or in a file.
    Configured(Auth),
    /// A user in a server's address; without a password it is a token.
    Address(String, Option<String>),
}

impl Credentials {
    /// Takes those of the settings, or else the first that stand in a server's address, which then
    /// are for all servers; checks that they can be used.
    pub(super) fn open(
        settings: &Settings,
        servers: &[ServerAddr],
    ) -> Result<Option<Self>, BusError> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = match &settings.auth {
            Some(auth) => Some(Self::Configured(auth.clone())),
            None => servers.iter().find_map(|server| {
                let user = decoded(server.username()?);
                Some(Self::Address(user, server.password().map(decoded)))
            }),
        };
        if let Some(credentials) = &credentials {
            credentials.answer(b"")?;
        }
        Ok(credentials)
    }

    /// Answers a server that has sent `nonce` to be signed.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<async_nats::Auth, BusError> {
        let mut answer = async_nats::Auth::new();
        match self {
            Self::Address(user, Some(password)) => {
                answer.username = Some(user.clone());
                answer.password = Some(password.clone());
            }
            Self::Address(token, None) => answer.token = Some(token.clone()),
            Self::Configured(Auth::Password { user, password }) => {
                answer.username = Some(user.clone());
                answer.password = Some(password.reveal()?);
            }
            Self::Configured(Auth::Token(token)) => answer.token = Some(token.reveal()?),
            Self::Configured(Auth::NkeyFile(path)) => {
                let text = read(path)?;
                let seed = text
                    .lines()
                    .map(str::trim)
                    .find(|line| line.starts_with('S'));
                let seed = seed.ok_or_else(|| wrong(path, "it holds no nkey seed"))?;
                let key = key(seed, path)?;
                answer.signature = Some(sign(&key, nonce, path)?);
                answer.nkey = Some(key.public_key());
            }
            Self::Configured(Auth::CredentialsFile(path)) => {
                let text = read(path)?;
                let mut blocks = decorated(&text);
                let jwt = blocks.next();
                let jwt = jwt.ok_or_else(|| wrong(path, "it holds no user JWT"))?;
                let seed = blocks.next();
                let seed = seed.ok_or_else(|| wrong(path, "it holds no nkey seed"))?;
                answer.signature = Some(sign(&key(seed, path)?, nonce, path)?);
                answer.jwt = Some(jwt.to_owned());
            }
        }
        Ok(answer)
    }
}

/// Finds what stands between two lines of dashes, as in `-----BEGIN NATS USER JWT-----`.
fn decorated(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| line.starts_with("-----BEGIN"))?;
        let inner = lines.by_ref().find(|line| !line.is_empty())?;
        // The end may be missing of nothing but a block that is damaged anyhow.
        (!inner.starts_with("---")).then_some(inner)
    })
}

fn read(path: &Path) -> Result<String, BusError> {
    Ok(Secret::File(path.to_owned()).reveal()?)
}

fn key(seed: &str, path: &Path) -> Result<KeyPair, BusError> {
    KeyPair::from_seed(seed).map_err(|_damaged| wrong(path, "its nkey seed is damaged"))
}

fn sign(key: &KeyPair, nonce: &[u8], path: &Path) -> Result<Vec<u8>, BusError> {
    let signed = key.sign(nonce);
    signed.map_err(|_public| wrong(path, "its nkey cannot sign"))
}

fn wrong(path: &Path, detail: &str) -> BusError {
    BusError::Credentials {
        path: path.display().to_string(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8] = b"nonce";

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn credentials(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ***** IMPORTANT *****\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------"
        )
    }

    #[test]
    fn a_credentials_file_is_read_however_its_lines_end() {
        let key = KeyPair::new_user();
        let text = credentials("a.b.c", &key.seed().unwrap());
        for text in [text.replace('\n', "\r\n"), text] {
            let (_folder, path) = file(&text);
            let source = Credentials::Configured(Auth::CredentialsFile(path));
            let answer = source.answer(NONCE).unwrap();
            assert_eq!(answer.jwt.as_deref(), Some("a.b.c"));
            key.verify(NONCE, &answer.signature.unwrap()).unwrap();
        }
    }

    #[test]
    fn a_seed_is_read_again_each_time() {
        let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
        let (_folder, path) = file(&old.seed().unwrap());
        let source = Credentials::Configured(Auth::NkeyFile(path.clone()));
        let shown = || source.answer(NONCE).unwrap().nkey.unwrap();
        assert_eq!(shown(), old.public_key());
        std::fs::write(&path, format!("# new\n{}\n", new.seed().unwrap())).unwrap();
        assert_eq!(shown(), new.public_key());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_content() {
        #[track_caller]
        fn check(text: &str, wrap: fn(std::path::PathBuf) -> Auth, expected: &str) {
            let (_folder, path) = file(text);
            let source = Credentials::Configured(wrap(path));
            let error = source.answer(NONCE).err().unwrap().to_string();
            assert!(
                error.ends_with(expected) && !error.contains("HUNTER"),
                "{error}"
            );
        }
        check("hunter", Auth::NkeyFile, "it holds no nkey seed");
        check("SHUNTER2", Auth::NkeyFile, "its nkey seed is damaged");
        check("hunter", Auth::CredentialsFile, "it holds no user JWT");
        let cut = "-----BEGIN NATS USER JWT-----\nHUNTER\n------END NATS USER JWT------\n";
        check(cut, Auth::CredentialsFile, "it holds no nkey seed");
        let damaged = credentials("a", "SUHUNTER");
        check(&damaged, Auth::CredentialsFile, "its nkey seed is damaged");
    }

    #[test]
    fn a_user_in_an_address_is_one_and_without_password_a_token() {
        let of = |url: &str| {
            let server: ServerAddr = url.parse().unwrap();
            match server.username() {
                None => String::new(),
                Some(user) => {
                    let password = server.password().map(str::to_owned);
                    let source = Credentials::Address(user.to_owned(), password);
                    let answer = source.answer(NONCE).unwrap();
                    format!("{:?}", (answer.username, answer.password, answer.token))
                }
            }
        };
        assert_eq!(of("nats://a:1"), "");
        assert_eq!(of("nats://u:p@a:1"), r#"(Some("u"), Some("p"), None)"#);
        assert_eq!(of("nats://t@a:1"), r#"(None, None, Some("t"))"#);
    }
}
