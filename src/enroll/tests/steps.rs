//! From a name to a certificate.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::KeyPair;

use super::*;
use crate::enroll::Fingerprint;
use crate::enroll::files::Files;
use crate::model::Secret;

#[tokio::test]
async fn submits_waits_and_takes_the_certificate() {
    let site = Site::start().await;
    assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
    assert!(site.ca.has_request(NAME));
    let key = text(site.ssl().key());
    let request = text(site.ssl().request());
    // Asking again neither makes another key nor another request.
    assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
    site.ca.sign(NAME);
    let signed = site.signed().await;
    assert_eq!(text(site.ssl().key()), key);
    assert_eq!(text(site.ssl().request()), request);
    assert_eq!(text(site.ssl().cert()), site.ca.certificate(NAME).unwrap());
    assert_eq!(text(site.ssl().ca()), site.ca.bundle());
    assert_eq!(text(site.ssl().crl()).matches("BEGIN X509 CRL").count(), 2);
    assert_eq!(signed.serial, "02");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.ssl().key()), 0o600);
    assert_eq!(site.submitted(), 1);
    // What is written is what the TLS of every connection reads.
    crate::tls::client_config(&site.ssl().settings()).unwrap();
}

#[tokio::test]
async fn a_complete_folder_needs_no_ca() {
    let site = Site::enrolled().await;
    site.asked();
    site.signed().await;
    assert_eq!(site.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn looks_until_the_certificate_is_signed() {
    let mut site = Site::start().await;
    site.settings.wait = WAIT;
    let enrollment = site.signed_when_it_waits();
    let outcome = enrollment.enroll(SOON, &CancellationToken::new()).await;
    assert!(
        matches!(outcome, Ok(Outcome::Enrolled(_))),
        "{}",
        shown(&outcome)
    );
    let told = site.told();
    let kinds: Vec<_> = told.iter().map(std::mem::discriminant).collect();
    let certname = NAME.to_owned();
    let expected = [
        told.first().unwrap().clone(),
        Event::KeyMade(site.ssl().key()),
        told.get(2).unwrap().clone(),
        Event::Waiting {
            certname,
            delay: WAIT,
        },
        told.last().unwrap().clone(),
    ];
    assert_eq!(
        kinds,
        expected
            .iter()
            .map(std::mem::discriminant)
            .collect::<Vec<_>>()
    );
    assert!(
        matches!(told.first(), Some(Event::CaTrusted { .. })),
        "{told:?}"
    );
    assert!(
        matches!(told.get(2), Some(Event::RequestSent { .. })),
        "{told:?}"
    );
    assert!(
        matches!(told.last(), Some(Event::CertificateStored(_))),
        "{told:?}"
    );
}

#[tokio::test]
async fn gives_up_when_the_time_is_over() {
    let mut site = Site::start().await;
    site.settings.wait = WAIT;
    let enrollment = site.enrollment();
    let stop = CancellationToken::new();
    let outcome = enrollment.enroll(WAIT * 3, &stop).await;
    assert_eq!(outcome.unwrap(), Outcome::Unsigned);
}

#[tokio::test]
async fn stops_when_it_is_told_to() {
    let mut site = Site::start().await;
    site.settings.wait = SOON;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let enrollment = Enrollment::new(site.settings.clone(), Clock::system(), move |event| {
        if matches!(event, Event::Waiting { .. }) {
            stopping.cancel();
        }
    });
    let outcome = enrollment.unwrap().enroll(SOON * 10, &stop).await;
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
}

#[tokio::test]
async fn a_ca_that_starts_late_is_waited_for() {
    let mut site = Site::start().await;
    site.settings.wait = WAIT;
    site.ca.state().signs_at_once = true;
    site.answer(&[(503, "starting"), (500, "")]);
    let outcome = site
        .enrollment()
        .enroll(SOON, &CancellationToken::new())
        .await;
    assert!(
        matches!(outcome, Ok(Outcome::Enrolled(_))),
        "{}",
        shown(&outcome)
    );
    let failed = site
        .told()
        .into_iter()
        .filter(|event| matches!(event, Event::Failed { .. }));
    assert_eq!(failed.count(), 2);
}

#[tokio::test]
async fn a_ca_that_signs_at_once_is_asked_once() {
    let site = Site::start().await;
    site.ca.state().signs_at_once = true;
    site.signed().await;
}

#[tokio::test]
async fn trust_on_first_use_is_told_with_fingerprints() {
    let site = Site::start().await;
    site.enroll().await.unwrap();
    let told = site.told();
    let event = told.first().unwrap();
    let root = Fingerprint::of(&site.ca.root());
    let bundle = Fingerprint::of(site.ca.bundle().as_bytes());
    let words = event.to_string();
    assert!(
        event.is_warning() && words.starts_with("NOT VERIFIED"),
        "{words}"
    );
    assert!(words.contains(&root.to_string()), "{words}");
    assert!(words.contains(&bundle.to_string()), "{words}");
}

#[tokio::test]
async fn a_fingerprint_of_root_or_bundle_is_enough() {
    for of_bundle in [true, false] {
        let mut site = Site::start().await;
        let fingerprint = if of_bundle {
            Fingerprint::of(site.ca.bundle().as_bytes())
        } else {
            Fingerprint::of(&site.ca.root())
        };
        site.trust(Trust::Fingerprint(fingerprint));
        assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
        // It is checked each time.
        assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
    }
}

#[tokio::test]
async fn a_file_of_the_cas_certificates_leaves_nothing_to_believe() {
    let mut site = Site::start().await;
    let file = site.folder.path().join("ca.pem");
    std::fs::write(&file, site.ca.bundle()).unwrap();
    site.trust(Trust::File(file));
    assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
    let asked = site.asked();
    assert!(
        !asked.iter().any(|asked| asked.ends_with("certificate/ca")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_rsa_key_that_is_there_is_used_as_it_is() {
    let site = Site::start().await;
    let rsa = include_str!("../../../tests/data/enroll/rsa_pkcs1.pem");
    let ec = include_str!("../../../tests/data/enroll/ec_sec1.pem");
    let with_parameters = include_str!("../../../tests/data/enroll/ec_with_parameters.pem");
    drop(Files::open(site.ssl()).unwrap());
    for (number, key) in [rsa, ec, with_parameters].into_iter().enumerate() {
        let mut settings = site.settings.clone();
        settings.ssl_dir = SslDir::new(site.ssl().dir(), format!("site{number}"));
        let ssl = settings.ssl_dir.clone();
        std::fs::write(ssl.key(), key.replace('\n', "\r\n")).unwrap();
        site.ca.state().signs_at_once = true;
        let enrollment = Enrollment::new(settings, Clock::system(), |_| {}).unwrap();
        let outcome = enrollment
            .enroll(Duration::ZERO, &CancellationToken::new())
            .await;
        assert!(
            matches!(outcome, Ok(Outcome::Enrolled(_))),
            "{}",
            shown(&outcome)
        );
        assert_eq!(text(ssl.key()), key.replace('\n', "\r\n"));
        crate::tls::client_config(&ssl.settings()).unwrap();
    }
}

#[tokio::test]
async fn a_lost_certificate_is_fetched_again() {
    let site = Site::enrolled().await;
    std::fs::remove_file(site.ssl().cert()).unwrap();
    std::fs::remove_file(site.ssl().crl()).unwrap();
    site.signed().await;
    assert!(site.ssl().crl().exists());
}

#[tokio::test]
async fn damaged_lists_are_fetched_again() {
    let site = Site::enrolled().await;
    std::fs::write(site.ssl().crl(), "-----BEGIN X509 CRL-----\n").unwrap();
    site.signed().await;
    assert_eq!(text(site.ssl().crl()), site.ca.lists());
}

#[tokio::test]
async fn facts_names_and_challenge_reach_the_ca_and_no_log() {
    let mut site = Site::start().await;
    let attributes = &mut site.settings.attributes;
    attributes.add_extension("pp_role=poller").unwrap();
    attributes.add_alt_name("nats.example.net").unwrap();
    attributes.set_challenge(Secret::Inline("hunter2".into()));
    assert_eq!(site.enroll().await.unwrap(), Outcome::Unsigned);
    site.ca.sign(NAME);
    site.signed().await;
    let told = format!("{:?} {:?}", site.told(), site.enrollment());
    assert!(!told.contains("hunter2"), "{told}");
    let request = crate::tls::pem::blocks(text(site.ssl().request()).as_bytes()).unwrap();
    let der = &request.first().unwrap().der;
    let has = |words: &[u8]| der.windows(words.len()).any(|window| window == words);
    assert!(has(b"hunter2") && has(b"poller"));
    let cert = crate::tls::pem::blocks(text(site.ssl().cert()).as_bytes()).unwrap();
    let der = &cert.first().unwrap().der;
    let name = b"nats.example.net";
    assert!(der.windows(name.len()).any(|window| window == name));
}

#[tokio::test(start_paused = true)]
async fn only_one_enrolls_into_a_folder() {
    let site = Site::start().await;
    let _files = Files::open(site.ssl()).unwrap();
    says(&site.enroll().await, "another enrollment works in");
}

#[tokio::test]
async fn a_certificate_that_is_there_for_our_key_is_taken_without_a_request() {
    let site = Site::start().await;
    drop(Files::open(site.ssl()).unwrap());
    let key = KeyPair::generate().unwrap();
    std::fs::write(site.ssl().key(), key.serialize_pem()).unwrap();
    site.ca.issue_for(NAME, &key);
    site.signed().await;
    assert!(!site.asked().iter().any(|asked| asked.starts_with("PUT")));
}
