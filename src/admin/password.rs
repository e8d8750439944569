//! Users and the hashes of their passwords.
//!
//! A hash costs a CPU tens of milliseconds on purpose. One is computed at a time, off the threads
//! that serve, and a password that was right once is known by a digest afterwards.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// A hash of the greatest cost takes about a second; each step more doubles that.
const COST_MAX: u32 = 14;

/// The least that the algorithm knows.
const COST_MIN: u32 = 4;

/// Characters before salt and hash: version and cost.
const HEAD_LENGTH: usize = 7;

/// Passwords that are known to be right; as many as Prometheus's exporters keep.
const KNOWN_MAX: usize = 100;

/// A password hashed by bcrypt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

/// Somebody who may see our pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What the password must hash to.
    pub hash: PasswordHash,
}

impl PasswordHash {
    /// Takes the text of a hash; says what it is instead of one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const NO_HASH: &str = "no bcrypt hash";
        let Ok(parts) = text.parse::<bcrypt::HashParts>() else {
            return Err(NO_HASH);
        };
        let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/');
        let is_whole = text.chars().skip(HEAD_LENGTH).all(is_digit);
        // `2x` marks hashes of a program that computed them wrongly.
        if parts.get_cost() < COST_MIN || text.starts_with("$2x") || !is_whole {
            return Err(NO_HASH);
        }
        if parts.get_cost() > COST_MAX {
            return Err("hashed at a cost above 14, which takes a CPU for seconds");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Checker {
    known: Mutex<HashSet<[u8; 32]>>,
    /// For one hash at a time: whoever guesses keeps no more than one CPU busy.
    hashing: Semaphore,
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            hashing: Semaphore::new(1),
        }
    }
}

impl Checker {
    /// Tells whether the value of an `Authorization` header is that of one of the users.
    pub(super) async fn is_user(&self, header: Option<&[u8]>, users: &Arc<[User]>) -> bool {
        let Some((name, password)) = header.and_then(credentials) else {
            return false;
        };
        let user = users.iter().find(|user| user.name.as_bytes() == name);
        // Nobody shall learn by the time that it takes which names there are.
        let Some(hash) = user.or_else(|| users.first()).map(|user| user.hash.clone()) else {
            return false;
        };
        let digest = digest(&[&name, hash.0.as_bytes(), &password]);
        if user.is_some() && self.known().contains(&digest) {
            return true;
        }
        let Ok(permit) = self.hashing.acquire().await else {
            return false;
        };
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash.0)).await;
        drop(permit);
        let is_right = user.is_some() && matches!(verified, Ok(Ok(true)));
        if is_right {
            let mut known = self.known();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(digest);
        }
        is_right
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads name and password out of a header.
fn credentials(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let both = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = both.iter().position(|byte| *byte == b':')?;
    let (name, password) = both.split_at_checked(colon)?;
    Some((name.to_vec(), password.get(1..)?.to_vec()))
}

/// A digest of several texts, each with its length.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::parse(&bcrypt::hash(password, COST_MIN).unwrap()).unwrap()
    }

    fn header(text: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(text)).into_bytes()
    }

    #[tokio::test]
    async fn the_right_password_of_the_right_user_passes_twice() {
        let users: Arc<[User]> = [("me", "hunter2"), ("you", "other")]
            .map(|(name, password)| User {
                name: name.to_owned(),
                hash: hash(password),
            })
            .into();
        let checker = Checker::default();
        for (text, expected) in [
            ("me:hunter2", true),
            ("me:hunter2", true),
            ("you:other", true),
            ("me:other", false),
            ("you:hunter2", false),
            ("nobody:hunter2", false),
            ("me:", false),
            ("me", false),
        ] {
            let header = header(text);
            assert_eq!(
                checker.is_user(Some(&header), &users).await,
                expected,
                "{text}"
            );
        }
        assert_eq!(checker.known().len(), 2);
        assert!(!checker.is_user(None, &users).await);
        assert!(!checker.is_user(Some(b"Bearer abc"), &users).await);
        assert!(!checker.is_user(Some(b"Basic *"), &users).await);
    }

    #[test]
    fn only_hashes_of_a_bearable_cost_are_taken() {
        let good = bcrypt::hash("a", COST_MIN).unwrap();
        for (text, expected) in [
            (good.clone(), Ok(())),
            (good.replace("$2b$", "$2y$"), Ok(())),
            (good.replace("$04$", "$14$"), Ok(())),
            (good.replace("$04$", "$03$"), Err("no bcrypt hash")),
            (
                good.replace("$04$", "$15$"),
                Err("hashed at a cost above 14, which takes a CPU for seconds"),
            ),
            (good.replace("$2b$", "$5$"), Err("no bcrypt hash")),
            (good.chars().take(59).collect(), Err("no bcrypt hash")),
            ("hunter2".to_owned(), Err("no bcrypt hash")),
            (String::new(), Err("no bcrypt hash")),
        ] {
            let found = PasswordHash::parse(&text).map(drop);
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(format!("{:?}", hash("a")), "***");
    }
}
