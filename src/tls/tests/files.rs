//! Files that are wrong, each with what is said about it.

use super::*;

/// Replaces the name of the folder, which is another one each time.
#[track_caller]
fn check(settings: &Settings, folder: &Path, expected: &str) {
    let error = client_config(settings).unwrap_err();
    let found = error.to_string();
    let found = found.replace(&*folder.to_string_lossy(), "DIR");
    assert_eq!(found, expected);
}

/// A folder with an authority, a pair that is good, and settings for them.
fn good() -> (tempfile::TempDir, Settings, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::root("root");
    let pair = authority.certify("site.example", 7);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let settings = Settings {
        ca: Some(Pem::File(write("ca.pem", &authority.pem))),
        cert: Some(Pem::File(write("cert.pem", &pair.pem))),
        key: Some(Secret::File(write("key.pem", &pair.key.serialize_pem()))),
        ..Settings::default()
    };
    client_config(&settings).unwrap();
    (folder, settings, authority)
}

#[test]
fn a_private_key_that_cannot_be_used_says_why() {
    let (folder, settings, _) = good();
    let path = folder.path().join("key.pem");
    let key = std::fs::read_to_string(&path).unwrap();
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        check(&settings, folder.path(), expected);
    };
    check("", "`DIR/key.pem` holds no private key");
    check("hello", "`DIR/key.pem` holds no private key");
    check(
        &format!("{key}{key}\n{key}"),
        "`DIR/key.pem` holds 3 private keys, in lines 1, 6 and 12, and one is needed",
    );
    let (cut, _) = key.split_at(key.len() - 40);
    check(
        &format!("\n{cut}"),
        "`DIR/key.pem`, line 2: the block `PRIVATE KEY` that begins here has no end; \
         the text is cut short",
    );
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    check(
        &encrypted,
        "`DIR/key.pem`, line 1: the private key is protected by a password, which nobody is there \
         to type; decrypt it with `openssl pkey -in DIR/key.pem -out DIR/key.plain.pem`",
    );
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                  DEK-Info: AES-128-CBC,00\n\naGVsbG8=\n-----END RSA PRIVATE KEY-----\n";
    check(
        legacy,
        "`DIR/key.pem`, line 1: the private key is protected by a password, which nobody is there \
         to type; decrypt it with `openssl pkey -in DIR/key.pem -out DIR/key.plain.pem`",
    );
    check(
        &key.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
        "`DIR/key.pem`, line 1: a key of kind `OPENSSH PRIVATE KEY` is not for TLS",
    );
    check(
        "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n",
        "`DIR/key.pem`, line 1: the private key is damaged, or of another kind: RSA from 2048 \
         bits, ECDSA P-256 and P-384, and Ed25519 are supported",
    );
    let public = settings.cert.as_ref().and_then(Pem::path).unwrap();
    let certificate = std::fs::read_to_string(public).unwrap();
    check(
        &certificate,
        "`DIR/key.pem` holds no private key, but a `CERTIFICATE` in line 1",
    );
    let other = KeyPair::generate().unwrap().serialize_pem();
    check(
        &other,
        "certificate `CN=site.example` in `DIR/cert.pem` is not for the key in `DIR/key.pem`",
    );
    // It takes no room on the disk.
    let large = std::fs::File::create(&path).unwrap();
    large.set_len((16 << 20) + 1).unwrap();
    let error = client_config(&settings).unwrap_err();
    assert!(matches!(error, TlsError::TooLarge { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = client_config(&settings).unwrap_err();
    assert!(matches!(error, TlsError::Read { .. }), "{error}");
}

#[test]
fn a_certificate_that_cannot_be_used_says_why() {
    let (folder, settings, authority) = good();
    let path = folder.path().join("cert.pem");
    let certificate = std::fs::read_to_string(&path).unwrap();
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        check(&settings, folder.path(), expected);
    };
    check("hello", "`DIR/cert.pem` holds no certificate");
    check(
        &format!("{}{certificate}", authority.pem),
        "certificate `CN=root` in `DIR/cert.pem` is not for the key in `DIR/key.pem`; \
         the one that is stands further down, and must come first",
    );
    check(
        "x\n-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
        "`DIR/cert.pem`, line 2: the block that begins here is no X.509 certificate",
    );
    let key = KeyPair::generate().unwrap().serialize_pem();
    check(
        &key,
        "`DIR/cert.pem` holds no certificate, but a `PRIVATE KEY` in line 1",
    );
}

#[test]
fn keys_and_certificates_may_be_written_in_every_way() {
    let (folder, mut settings, authority) = good();
    let path = folder.path().join("cert.pem");
    let key_path = folder.path().join("key.pem");
    let certificate = std::fs::read_to_string(&path).unwrap();
    let key = std::fs::read_to_string(&key_path).unwrap();
    let good = |cert: &str, key: &str| {
        std::fs::write(&path, cert).unwrap();
        std::fs::write(&key_path, key).unwrap();
        client_config(&settings).unwrap();
    };
    good(
        &certificate.replace('\n', "\r\n"),
        &key.replace('\n', "\r\n"),
    );
    good(&format!("\u{feff}{certificate}"), &format!("\u{feff}{key}"));
    good(&format!("{certificate}{}", authority.pem), &key);
    // One file for both, as some servers want it.
    let both = format!("subject=CN = site\n{certificate}\n{key}");
    good(&both, &both);
    // The older form of the same key is what the newer one has inside, with its curve in front.
    let der = pem::blocks(key.as_bytes()).unwrap().remove(0).der;
    let inner = &der[29..];
    assert_eq!(inner[0], 0x30);
    let base64 = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(inner)
    };
    let sec1 = format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n");
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    good(&certificate, &format!("{parameters}{sec1}"));
    settings.key = None;
    assert!(matches!(client_config(&settings), Err(TlsError::Unpaired)));
}

#[test]
fn what_is_missing_in_an_ssldir_comes_by_enrollment() {
    let folder = tempfile::tempdir().unwrap();
    let dir = SslDir::new(folder.path(), "site.example");
    let authority = Authority::root("root");
    let pair = authority.certify("site.example", 7);
    std::fs::create_dir(folder.path().join("certs")).unwrap();
    std::fs::create_dir(folder.path().join("private_keys")).unwrap();
    let settings = dir.settings();
    check(
        &settings,
        folder.path(),
        "certificate file `DIR/certs/ca.pem` is missing; \
         run `prometheus-streams enroll site.example --dir DIR`",
    );
    std::fs::write(dir.ca(), &authority.pem).unwrap();
    std::fs::write(dir.cert(), &pair.pem).unwrap();
    check(
        &settings,
        folder.path(),
        "private key file `DIR/private_keys/site.example.pem` is missing; \
         run `prometheus-streams enroll site.example --dir DIR`",
    );
    std::fs::write(dir.key(), pair.key.serialize_pem()).unwrap();
    let warnings = settings.verify().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].ends_with("no certificate is taken for revoked"));
    std::fs::write(dir.crl(), authority.revoke(&[])).unwrap();
    assert_eq!(settings.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_out_of_time_is_told() {
    let authority = Authority::root("root");
    let told = |years: (i32, i32), crl_year: i32| {
        let pair = authority.certify_for("site", 7, years);
        let settings = Settings {
            ca: Some(inline(&*authority.pem)),
            cert: Some(inline(&*pair.pem)),
            key: Some(Secret::Inline(pair.key.serialize_pem().into())),
            crl: Some(inline(authority.revoke_until(&[], crl_year))),
            ..Settings::default()
        };
        settings.verify().unwrap().join("\n")
    };
    assert_eq!(told((2000, 2999), 2999), "");
    assert_eq!(
        told((2000, 2001), 2999),
        "our certificate `CN=site` in the configuration has expired: \
         it ended Jan  1 00:00:00 2001 +00:00"
    );
    assert_eq!(
        told((2998, 2999), 2999),
        "our certificate `CN=site` in the configuration is not valid yet: \
         it begins Jan  1 00:00:00 2998 +00:00"
    );
    assert_eq!(
        told((2000, 2999), 2002),
        "the revocation list of `CN=root` in the configuration, line 1, has expired: \
         Jan  1 00:00:00 2002 +00:00; who has its certificate from there is refused"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let versions = Settings {
        min_version: Some(Version::Tls13),
        max_version: Some(Version::Tls12),
        insecure_skip_verify: true,
        ..Settings::default()
    };
    check(
        &versions,
        Path::new("/"),
        "`min_version` is newer than `max_version`",
    );
    let ca = Settings {
        ca: Some(inline("hello")),
        ..Settings::default()
    };
    check(
        &ca,
        Path::new("/none"),
        "the configuration holds no certificate",
    );
    let name = Settings {
        server_name: Some("a b".to_owned()),
        insecure_skip_verify: true,
        ..Settings::default()
    };
    check(
        &name,
        Path::new("/none"),
        "`server_name` `a b` is not a host name",
    );
}

#[test]
fn certnames_are_those_that_puppet_takes() {
    for name in ["a", "site-1.example.net", "a_b", &"a".repeat(250)] {
        assert!(SslDir::is_certname(name), "{name}");
    }
    for name in ["", "USDC1", "../a", ".a", "a/b", "a b", &"a".repeat(251)] {
        assert!(!SslDir::is_certname(name), "{name}");
    }
}
