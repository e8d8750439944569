//! What is refused, and in which words.

use rcgen::KeyPair;

use super::*;
use crate::enroll::files::Files;
use crate::enroll::{Document, Fingerprint};
use crate::retry::{Retry, Retryable as _};

/// Checks that nothing of a CA was believed.
#[track_caller]
fn nothing_is_stored(site: &Site) {
    assert!(!site.ssl().ca().exists());
    assert!(!site.ssl().crl().exists());
    assert!(!site.ssl().cert().exists());
}

#[tokio::test]
async fn another_fingerprint_is_not_trusted() {
    let mut site = Site::start().await;
    site.trust(Trust::Fingerprint(Fingerprint::of(b"another")));
    let result = site.enroll().await;
    says(
        &result,
        "cannot trust the CA's certificates from `https://localhost:",
    );
    says(&result, &Fingerprint::of(&site.ca.root()).to_string());
    assert_eq!(result.unwrap_err().document(), Document::Authority);
    nothing_is_stored(&site);
    assert!(!site.ssl().key().exists());
}

#[tokio::test]
async fn the_fingerprint_of_an_intermediate_certificate_proves_too_little() {
    let mut site = Site::start().await;
    site.trust(Trust::Fingerprint(Fingerprint::of(&site.ca.intermediate())));
    says(&site.enroll().await, "which did not sign all the others");
    nothing_is_stored(&site);
}

#[tokio::test]
async fn a_certificate_that_rides_along_is_not_trusted() {
    let mut site = Site::start().await;
    let other = PuppetCa::start().await;
    site.trust(Trust::Fingerprint(Fingerprint::of(&site.ca.root())));
    let mixed = format!("{}{}", site.ca.bundle(), other.bundle());
    site.answer(&[(200, &mixed)]);
    says(&site.enroll().await, "which did not sign all the others");
    nothing_is_stored(&site);
}

#[tokio::test]
async fn a_stored_ca_with_another_fingerprint_is_not_used() {
    let mut site = Site::enrolled().await;
    site.trust(Trust::Fingerprint(Fingerprint::of(b"another")));
    says(
        &site.enroll().await,
        "certs/ca.pem`: its fingerprint is not",
    );
}

#[tokio::test]
async fn an_impostor_with_the_right_certificates_is_found_out() {
    let site = Site::start().await;
    let real = PuppetCa::start().await;
    // It can hand out the real bundle, but it has no key for it.
    site.answer(&[(200, &real.bundle())]);
    let result = site.enroll().await;
    says(&result, "which is not the CA whose certificates are here");
    assert_eq!(result.unwrap_err().retry(), Retry::No);
    nothing_is_stored(&site);
}

#[tokio::test]
async fn another_ca_at_the_address_is_refused_later() {
    let mut site = Site::enrolled().await;
    let other = PuppetCa::start().await;
    site.settings.ca = other.address().parse().unwrap();
    says(
        &site.renew().await,
        "which is not the CA whose certificates are here",
    );
}

#[tokio::test]
async fn another_file_than_that_of_the_stored_ca_is_refused() {
    let mut site = Site::enrolled().await;
    let other = PuppetCa::start().await;
    let file = site.folder.path().join("other.pem");
    std::fs::write(&file, other.bundle()).unwrap();
    site.trust(Trust::File(file.clone()));
    says(&site.enroll().await, "remove the first to trust the second");
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(site.ssl().ca()).unwrap();
    says(&site.enroll().await, "there is no file");
}

#[tokio::test]
async fn a_ca_that_cannot_be_reached_is_named() {
    let mut site = Site::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    site.settings.ca = format!("localhost:{port}").parse().unwrap();
    let result = site.enroll().await;
    let place = format!("`https://localhost:{port}/puppet-ca/v1/certificate/ca`");
    says(
        &result,
        &format!("cannot fetch the CA's certificates at {place}"),
    );
    says(&result, "refused");
    assert_eq!(result.unwrap_err().retry(), Retry::Yes);
}

#[tokio::test]
async fn answers_that_are_no_bundle_are_refused() {
    let site = Site::start().await;
    let bundle = site.ca.bundle();
    let cut = bundle.get(..bundle.len() - 40).unwrap();
    let leaf = site.ca.issue_for("leaf", &KeyPair::generate().unwrap());
    let many = bundle.repeat(17);
    for (answer, expected) in [
        ("", "it holds 0 certificates"),
        ("<html>", "it holds 0 certificates"),
        (cut, "it is not valid PEM: line "),
        (
            "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
            "certificate 1 is damaged",
        ),
        (&leaf, "certificate 1, `CN=leaf`, is not that of a CA"),
        (&many, "it holds 34 certificates"),
    ] {
        site.answer(&[(200, answer)]);
        says(&site.enroll().await, expected);
        nothing_is_stored(&site);
    }
    let huge = "x".repeat(300 << 10);
    site.answer(&[(200, &huge)]);
    says(
        &site.enroll().await,
        "the answer is larger than 262144 bytes",
    );
    site.answer(&[(302, "")]);
    says(
        &site.enroll().await,
        "redirects elsewhere, which is not followed",
    );
    site.answer(&[(404, "Not Found")]);
    says(
        &site.enroll().await,
        "answered with status 404 Not Found, saying `Not Found`",
    );
    site.answer(&[(418, "a\u{7}b\nc")]);
    says(&site.enroll().await, "saying `a b c`");
}

#[tokio::test]
async fn lists_of_another_ca_are_refused() {
    let site = Site::start().await;
    let other = PuppetCa::start().await;
    let bundle = site.ca.bundle();
    for (answer, expected) in [
        (other.lists(), "is not signed by the CA"),
        (String::new(), "there is no list in it"),
        (
            "-----BEGIN X509 CRL-----\naGVsbG8=\n-----END X509 CRL-----\n".to_owned(),
            "list 1 is damaged",
        ),
        (
            "-----BEGIN X509 CRL-----\n".to_owned(),
            "they are not valid PEM: line 1",
        ),
    ] {
        site.answer(&[(200, &bundle), (200, &answer)]);
        let result = site.enroll().await;
        says(&result, expected);
        says(
            &result,
            "cannot use the revocation lists from `https://localhost:",
        );
        assert_eq!(result.unwrap_err().document(), Document::Revocations);
        nothing_is_stored(&site);
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_is_refused_with_the_remedy() {
    let site = Site::start().await;
    site.ca.issue_for(NAME, &KeyPair::generate().unwrap());
    let result = site.enroll().await;
    says(&result, "is for another key than");
    says(
        &result,
        &format!("`puppetserver ca clean --certname {NAME}`"),
    );
    assert!(!site.ssl().cert().exists());
    site.ca.clean(NAME);
    assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
}

#[tokio::test]
async fn a_request_by_another_key_is_refused_with_the_remedy() {
    let mut site = Site::start().await;
    site.enroll().await.unwrap();
    site.settings.ssl_dir = SslDir::new(site.folder.path().join("second"), NAME);
    let result = site.enroll().await;
    says(
        &result,
        "the CA has a request for `usdc1.example.net` by another key than",
    );
    says(&result, "`puppetserver ca clean --certname");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_with_the_remedy() {
    let site = Site::enrolled().await;
    site.ca.revoke(NAME);
    // Nobody knows before the lists are fetched.
    site.signed().await;
    let enrollment = site.enrollment();
    enrollment.refresh().await.unwrap();
    says(
        &site.enroll().await,
        "was revoked; to enroll it again, run `puppetserver ca clean",
    );
    // Without the files it is the CA that says so.
    std::fs::remove_file(site.ssl().cert()).unwrap();
    says(&site.enroll().await, "was revoked");
}

#[tokio::test]
async fn certificates_out_of_time_are_refused() {
    let site = Site::start().await;
    site.ca.state().signs_at_once = true;
    site.ca.state().validity = (DAY, 2 * DAY);
    says(
        &site.enroll().await,
        "it is not valid yet; is the clock right?",
    );
    site.ca.clean(NAME);
    site.ca.state().validity = (-2 * DAY, -DAY);
    says(&site.enroll().await, "it has expired");
    assert!(!site.ssl().cert().exists());
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused() {
    let site = Site::start().await;
    site.enroll().await.unwrap();
    let other = PuppetCa::start().await;
    let foreign = other.issue_for(NAME, &KeyPair::from_pem(&text(site.ssl().key())).unwrap());
    for (answer, expected) in [
        ("hello", "it holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n",
            "its content is damaged",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMIID\n",
            "line 1: the block `CERTIFICATE` that begins here has no end",
        ),
        (&foreign, "its signature is not the CA's"),
    ] {
        site.answer(&[(200, answer)]);
        says(&site.enroll().await, expected);
        assert!(!site.ssl().cert().exists());
    }
}

#[tokio::test]
async fn what_the_ca_says_to_a_request_is_passed_on() {
    let site = Site::start().await;
    site.enroll().await.unwrap();
    site.ca.clean(NAME);
    for (status, words) in [
        (
            400,
            "CSR 'usdc1' contains extra subject alternative names (DNS:x), which are disallowed.",
        ),
        (
            500,
            "Internal Server Error: java.lang.IndexOutOfBoundsException",
        ),
        (403, "Forbidden request: /puppet-ca/v1/certificate_request"),
    ] {
        site.answer(&[(404, ""), (404, ""), (status, words)]);
        let result = site.enroll().await;
        says(
            &result,
            "cannot submit the certificate request: `https://localhost:",
        );
        says(&result, &format!("answered with status {status}"));
        says(&result, words);
    }
    site.answer(&[
        (404, ""),
        (404, ""),
        (400, "usdc1 already has a revoked certificate; ignoring"),
    ]);
    says(&site.enroll().await, "was revoked");
}

#[tokio::test]
async fn keys_that_are_of_no_use_are_refused_and_left_alone() {
    let site = Site::start().await;
    drop(Files::open(site.ssl()).unwrap());
    let three = include_str!("../../../tests/data/enroll/ec_sec1.pem").repeat(3);
    for (key, expected) in [
        (
            include_str!("../../../tests/data/enroll/locked_pkcs1.pem"),
            "protected by a password",
        ),
        (
            include_str!("../../../tests/data/enroll/locked_pkcs8.pem"),
            "openssl pkey -in",
        ),
        (&three, "holds 3 private keys"),
        ("", "holds no private key"),
        ("-----BEGIN PRIVATE KEY-----\nMIID\n", "line 1"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIID\n-----END PRIVATE KEY-----\n",
            "neither an RSA key",
        ),
    ] {
        std::fs::write(site.ssl().key(), key).unwrap();
        let result = site.enroll().await;
        says(&result, expected);
        assert_eq!(text(site.ssl().key()), key);
        assert_eq!(result.unwrap_err().document(), Document::Files);
    }
}

#[tokio::test]
async fn files_that_do_not_fit_each_other_are_refused() {
    let site = Site::enrolled().await;
    std::fs::write(
        site.ssl().key(),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    says(&site.enroll().await, "is for another key than");
    says(&site.enroll().await, "restore the key");
    std::fs::remove_file(site.ssl().key()).unwrap();
    says(&site.enroll().await, "restore the key");
    // No new key takes the place of the lost one by itself.
    assert!(!site.ssl().key().exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let mut site = Site::start().await;
    let file = site.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    site.settings.ssl_dir = SslDir::new(file.join("ssl"), NAME);
    says(&site.enroll().await, "cannot make the folder");
}

#[tokio::test]
async fn names_are_checked_before_anything_is_made() {
    let site = Site::start().await;
    for name in ["USDC1", "../usdc1", "ca", ""] {
        let mut settings = site.settings.clone();
        settings.ssl_dir = SslDir::new(site.ssl().dir(), name);
        let result = Enrollment::new(settings, Clock::system(), |_| {});
        assert!(matches!(result, Err(EnrollError::Certname(_))), "{name}");
    }
    assert!(!site.ssl().dir().exists());
}
