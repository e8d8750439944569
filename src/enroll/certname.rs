//! Names that a Puppet CA signs.

use crate::yaml::shown;

/// The longest name: that of a certificate's common name (RFC 5280, `ub-common-name`).
const CERTNAME_MAX: usize = 64;

/// The CA's interface has its own certificate under this name.
const RESERVED: &str = "ca";

/// Why a name cannot be enrolled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertnameError {
    /// It is empty.
    #[error("the certificate's name is empty")]
    Empty,
    /// It is too long.
    #[error("the certificate's name has more than {CERTNAME_MAX} characters")]
    TooLong,
    /// It has upper-case letters, which no Puppet CA takes.
    #[error("certificate names must be lower case: write `{}` instead of `{}`", .0.to_lowercase(), .0)]
    UpperCase(String),
    /// It has other characters than it may.
    #[error(
        "`{}` is not a certificate's name: it may have lower-case letters, digits, `.`, `-` and `_`, \
         begins with a letter, digit or `_`, and does not end with `-` or `.`", shown(.0)
    )]
    Malformed(String),
    /// It is the CA's own.
    #[error("`{RESERVED}` is the name of the CA itself; choose another one")]
    Reserved,
}

/// Checks a name by the rules of a Puppet CA, so that it is refused before anything is made for it.
pub fn check_certname(name: &str) -> Result<(), CertnameError> {
    if name.is_empty() {
        return Err(CertnameError::Empty);
    }
    if name.len() > CERTNAME_MAX {
        return Err(CertnameError::TooLong);
    }
    if name == RESERVED {
        return Err(CertnameError::Reserved);
    }
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let lower = name.to_ascii_lowercase();
    let is_good = lower.bytes().all(is_inner)
        && !lower.starts_with(['.', '-'])
        && !lower.ends_with(['-', '.'])
        && !lower.contains("..");
    if !is_good {
        Err(CertnameError::Malformed(name.to_owned()))
    } else if lower != name {
        Err(CertnameError::UpperCase(name.to_owned()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_puppet_ca_takes() {
        for name in [
            "usdc1",
            "poller.usdc1.example.net",
            "a",
            "_x",
            "9",
            "a-b_c.d--e",
        ] {
            assert_eq!(check_certname(name), Ok(()), "{name}");
        }
        assert_eq!(check_certname(&"a".repeat(CERTNAME_MAX)), Ok(()));
    }

    #[test]
    fn refuses_what_no_file_should_be_called() {
        for name in [
            "..", ".", "a/b", "../a", "a..b", ".a", "a.", "-a", "a-", "a b", "a*", "é", "a\n",
        ] {
            assert!(
                matches!(check_certname(name), Err(CertnameError::Malformed(_))),
                "{name}"
            );
        }
        assert_eq!(check_certname(""), Err(CertnameError::Empty));
        assert_eq!(check_certname("ca"), Err(CertnameError::Reserved));
        assert_eq!(check_certname(&"a".repeat(65)), Err(CertnameError::TooLong));
    }

    #[test]
    fn says_what_to_write_instead_of_upper_case() {
        let error = check_certname("USDC1.example.net").unwrap_err();
        let expected = "certificate names must be lower case: write `usdc1.example.net` instead of \
                        `USDC1.example.net`";
        assert_eq!(error.to_string(), expected);
    }
}
