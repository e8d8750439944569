//! A configuration that follows its files.

use super::*;

struct Site {
    folder: tempfile::TempDir,
    authority: Authority,
    server: ServerConfig,
    live: Arc<Live>,
}

impl Site {
    fn new(has_list: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::root("root");
        let shown = authority.certify("nats.example", 5);
        let server = server(&shown, &[], Some(&authority));
        let path = |name: &str| folder.path().join(name);
        let settings = Settings {
            ca: Some(Pem::File(path("ca.pem"))),
            cert: Some(Pem::File(path("cert.pem"))),
            key: Some(Secret::File(path("key.pem"))),
            crl: has_list.then(|| Pem::File(path("crl.pem"))),
            ssl_dir: Some(SslDir::new(folder.path(), "site")),
            ..Settings::default()
        };
        let live = Arc::new(Live::new(settings, Vec::new()));
        let site = Self {
            folder,
            authority,
            server,
            live,
        };
        site.write("ca.pem", &site.authority.pem);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file as careful programs do: it is another file then.
    fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    fn certify(&self, serial: u64) -> Certified {
        self.authority.certify("site.example", serial)
    }

    fn shown(&self, config: &ClientConfig) -> Result<Option<CertificateDer<'static>>, String> {
        handshake(config, &self.server)
    }
}

#[test]
fn a_renewed_pair_is_shown_as_soon_as_it_fits() {
    let site = Site::new(false);
    let (old, new) = (site.certify(6), site.certify(7));
    site.write("key.pem", &old.key.serialize_pem());
    site.write("cert.pem", &old.pem);
    let config = site.live.following().unwrap();
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&old.der));
    // Renewal writes the key first; for a moment they do not fit.
    site.write("key.pem", &new.key.serialize_pem());
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&old.der));
    site.write("cert.pem", "-----BEGIN CERTIFICATE-----\n");
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&old.der));
    std::fs::remove_file(site.path("cert.pem")).unwrap();
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&old.der));
    site.write("cert.pem", &new.pem);
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&new.der));
    assert_eq!(site.shown(&config).unwrap().as_ref(), Some(&new.der));
}

#[test]
fn a_pair_that_never_fitted_is_an_error() {
    let site = Site::new(false);
    site.write("cert.pem", &site.certify(6).pem);
    site.write("key.pem", &site.certify(7).key.serialize_pem());
    let error = site.live.following().unwrap_err();
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
}

#[test]
fn a_server_that_is_revoked_later_is_refused_from_then_on() {
    let site = Site::new(true);
    let own = site.certify(6);
    site.write("key.pem", &own.key.serialize_pem());
    site.write("cert.pem", &own.pem);
    // There is no list before enrollment has fetched one.
    let config = site.live.following().unwrap();
    site.shown(&config).unwrap();
    site.write("crl.pem", &site.authority.revoke(&[4]));
    site.shown(&config).unwrap();
    site.write("crl.pem", &site.authority.revoke(&[4, 5]));
    let error = site.shown(&config).unwrap_err();
    assert!(error.contains("Revoked"), "{error}");
    site.write("crl.pem", "hello");
    let error = site.shown(&config).unwrap_err();
    assert!(
        error.contains("crl.pem` holds no revocation list"),
        "{error}"
    );
    site.write("crl.pem", &site.authority.revoke(&[]));
    site.shown(&config).unwrap();
}

#[test]
fn nobody_is_trusted_while_the_authority_cannot_be_read() {
    let site = Site::new(false);
    let own = site.certify(6);
    site.write("key.pem", &own.key.serialize_pem());
    site.write("cert.pem", &own.pem);
    let config = site.live.following().unwrap();
    site.shown(&config).unwrap();
    site.write("ca.pem", &Authority::root("another").pem);
    site.shown(&config).unwrap_err();
    std::fs::remove_file(site.path("ca.pem")).unwrap();
    let error = site.shown(&config).unwrap_err();
    assert!(error.contains("ca.pem` is missing; run"), "{error}");
    site.write("ca.pem", &site.authority.pem);
    site.shown(&config).unwrap();
}

#[test]
fn what_does_not_change_keeps_its_generation() {
    let site = Site::new(false);
    let own = site.certify(6);
    site.write("key.pem", &own.key.serialize_pem());
    site.write("cert.pem", &own.pem);
    let first = site.live.current().unwrap();
    let second = site.live.current().unwrap();
    assert!(Arc::ptr_eq(&first.config, &second.config));
    site.write("ca.pem", &site.authority.pem);
    assert_eq!(
        site.live.current().unwrap().generation,
        first.generation + 1
    );
}
