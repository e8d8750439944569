//! From a certificate to the next one.

use super::*;

/// An enrolled site whose certificate ends within the time to renew.
async fn ending() -> Site {
    let site = Site::start().await;
    site.ca.state().signs_at_once = true;
    site.ca.state().validity = (-DAY, 10 * DAY);
    site.signed().await;
    site.ca.state().signs_at_once = false;
    site.ca.state().validity = (-DAY, 400 * DAY);
    site.told();
    site.asked();
    site
}

#[tokio::test]
async fn a_certificate_with_time_left_is_kept() {
    let site = Site::enrolled().await;
    let before = text(site.ssl().cert());
    let outcome = site.renew().await.unwrap();
    assert!(matches!(outcome, Outcome::Enrolled(_)), "{outcome:?}");
    assert_eq!(text(site.ssl().cert()), before);
}

#[tokio::test]
async fn renews_with_the_certificate_as_puppet_8_does() {
    let site = ending().await;
    site.ca.state().renews = true;
    let key = text(site.ssl().key());
    let outcome = site.renew().await.unwrap();
    let Outcome::Enrolled(signed) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(signed.serial, "03");
    assert_eq!(text(site.ssl().cert()), site.ca.certificate(NAME).unwrap());
    assert_eq!(text(site.ssl().key()), key);
    let asked = site.asked();
    let renewal = format!("POST /puppet-ca/v1/certificate_renewal {NAME}");
    assert!(asked.contains(&renewal), "{asked:?}");
    assert!(
        !asked.iter().any(|asked| asked.starts_with("PUT")),
        "{asked:?}"
    );
    crate::tls::client_config(&site.ssl().settings()).unwrap();
}

#[tokio::test]
async fn renews_by_a_second_request_where_the_ca_takes_one() {
    let site = ending().await;
    site.ca.state().takes_duplicates = true;
    let before = text(site.ssl().cert());
    assert_eq!(site.renew().await.unwrap(), Outcome::Unsigned);
    assert_eq!(site.renew().await.unwrap(), Outcome::Unsigned);
    // Until it is signed the old one stays, and there is one request.
    assert_eq!(text(site.ssl().cert()), before);
    assert_eq!(site.submitted(), 1);
    site.ca.sign(NAME);
    let outcome = site.renew().await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Enrolled(signed) if signed.serial == "03"),
        "{outcome:?}"
    );
    assert_ne!(text(site.ssl().cert()), before);
}

#[tokio::test]
async fn waits_until_the_second_request_is_signed() {
    let mut site = ending().await;
    site.settings.wait = WAIT;
    site.ca.state().takes_duplicates = true;
    let enrollment = site.signed_when_it_waits();
    let renewed = enrollment.renew(SOON, &CancellationToken::new()).await;
    assert!(matches!(&renewed, Ok(Outcome::Enrolled(signed)) if signed.serial == "03"));
}

#[tokio::test]
async fn a_ca_that_renews_nothing_is_named_with_the_remedies() {
    let site = ending().await;
    let before = text(site.ssl().cert());
    let result = site.renew().await;
    says(
        &result,
        "the CA does not renew `usdc1.example.net`, saying `usdc1.example.net already has",
    );
    says(&result, "`allow-auto-renewal`");
    says(&result, "`allow-duplicate-certs`");
    assert_eq!(text(site.ssl().cert()), before);
}

#[tokio::test]
async fn a_renewed_certificate_has_to_be_a_good_one() {
    let site = ending().await;
    site.ca.state().renews = true;
    let before = text(site.ssl().cert());
    site.ca.state().validity = (-DAY, 5 * DAY);
    says(
        &site.renew().await,
        "it ends no later than the one that we have",
    );
    site.ca.state().validity = (DAY, 400 * DAY);
    says(&site.renew().await, "it is not valid yet");
    assert_eq!(text(site.ssl().cert()), before);
}

#[tokio::test]
async fn an_expired_certificate_is_renewed_by_a_request_alone() {
    let site = ending().await;
    site.ca.state().takes_duplicates = true;
    site.ca.state().renews = true;
    let later = Clock::fixed(Clock::system().now_ms() + 20 * DAY * 1000);
    let enrollment = Enrollment::new(site.settings.clone(), later, |_| {}).unwrap();
    let stop = CancellationToken::new();
    says(
        &enrollment.enroll(Duration::ZERO, &stop).await,
        "has expired on",
    );
    let outcome = enrollment.renew(Duration::ZERO, &stop).await.unwrap();
    assert_eq!(outcome, Outcome::Unsigned);
    assert!(
        !site
            .asked()
            .iter()
            .any(|asked| asked.contains("certificate_renewal"))
    );
    site.ca.sign(NAME);
    let outcome = enrollment.renew(Duration::ZERO, &stop).await.unwrap();
    assert!(matches!(outcome, Outcome::Enrolled(_)), "{outcome:?}");
}

#[tokio::test]
async fn nothing_to_renew_is_an_error() {
    let site = Site::start().await;
    says(&site.renew().await, "enroll first, without `--renew`");
}

#[tokio::test]
async fn fetches_what_was_revoked_since() {
    let site = Site::enrolled().await;
    let before = text(site.ssl().crl());
    site.ca.revoke(NAME);
    site.enrollment().refresh().await.unwrap();
    let after = text(site.ssl().crl());
    assert_ne!(after, before);
    // What has not changed is not written.
    let written = || {
        std::fs::metadata(site.ssl().crl())
            .unwrap()
            .modified()
            .unwrap()
    };
    let last = written();
    site.enrollment().refresh().await.unwrap();
    assert_eq!(written(), last);
    assert_eq!(site.told().last(), Some(&Event::CrlStored));
}

#[tokio::test]
async fn lists_out_of_date_are_replaced_all_the_same() {
    let site = Site::start().await;
    site.ca.state().list_validity = -DAY;
    site.ca.state().signs_at_once = true;
    site.signed().await;
    site.told();
    site.ca.state().list_validity = DAY;
    site.enrollment().refresh().await.unwrap();
    assert!(site.told().contains(&Event::CrlOutdated));
    assert_eq!(text(site.ssl().crl()), site.ca.lists());
}

#[tokio::test]
async fn a_ca_with_a_further_certificate_is_followed_if_ours_is_still_good() {
    let site = Site::enrolled().await;
    let other = PuppetCa::start().await;
    let both = format!("{}{}", site.ca.bundle(), other.bundle());
    site.answer(&[(200, &both)]);
    site.enrollment().refresh().await.unwrap();
    assert_eq!(text(site.ssl().ca()), both);
    let replaced = |event: &Event| matches!(event, Event::CaReplaced { .. });
    assert!(site.told().iter().any(replaced));
    // One that would lock us out is not; the lists are fetched nevertheless.
    site.ca.revoke(NAME);
    site.answer(&[(200, &other.bundle())]);
    let error = site.enrollment().refresh().await.unwrap_err();
    assert!(
        chain(&error).contains("with the CA's new certificates"),
        "{}",
        chain(&error)
    );
    assert_eq!(text(site.ssl().ca()), both);
    assert_eq!(text(site.ssl().crl()), site.ca.lists());
}
