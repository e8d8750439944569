//! A certificate authority as Puppet makes one: a root, an intermediate, and a list of each.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

/// An authority, with its certificates in a folder.
pub(crate) struct Pki {
    folder: PathBuf,
    root: Issuer<'static, KeyPair>,
    between: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pki {
    /// Makes both authorities; `ca.pem` is written into the folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority("Puppet Root CA", 1);
        let mut bundle = params.self_signed(&key).unwrap().pem();
        let root = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = authority("Puppet CA", 2);
        bundle.insert_str(0, &params.signed_by(&key, &root).unwrap().pem());
        let between = Issuer::new(params, key);
        let pki = Self {
            folder: folder.to_owned(),
            root,
            between,
        };
        pki.write("ca.pem", &bundle);
        pki
    }

    /// Returns the path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file in the folder, in place of the one before; only its owner can read it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Signs a certificate for a name, which may be an address.
    pub(crate) fn sign(&self, name: &str, serial: u64) -> Signed {
        self.sign_until(name, serial, 2999)
    }

    /// The same with the year of its end.
    pub(crate) fn sign_until(&self, name: &str, serial: u64, year: i32) -> Signed {
        self.sign_with(&KeyPair::generate().unwrap(), name, serial, year)
    }

    /// The same with a key of one's own.
    pub(crate) fn sign_with(&self, key: &KeyPair, name: &str, serial: u64, year: i32) -> Signed {
        let mut params = params(name, serial);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(key, &self.between).unwrap();
        Signed {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Signs a certificate and writes it as `NAME.pem` and `NAME.key`, the key first.
    pub(crate) fn issue(&self, file: &str, name: &str, serial: u64) {
        let signed = self.sign(name, serial);
        self.write(&format!("{file}.key"), &signed.key);
        self.write(&format!("{file}.pem"), &signed.certificate);
    }

    /// Returns the lists of both authorities, with these serial numbers of the second.
    pub(crate) fn lists(&self, revoked: &[u64]) -> String {
        list(&self.between, revoked) + &list(&self.root, &[])
    }

    /// Returns a server's `tls` block for `server.pem`, which asks for certificates of ours.
    pub(crate) fn nats(&self, more: &str) -> String {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true, {more} }}",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("ca.pem"),
        )
    }

    /// Returns a `tls` block of ours, for `client.pem`.
    pub(crate) fn tls(&self) -> Value {
        json!({
            "scheme": "file", "ca": self.path("ca.pem"),
            "cert": self.path("client.pem"), "key": self.path("client.key"),
        })
    }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority(name: &str, serial: u64) -> CertificateParams {
    let mut params = params("ca.example.net", serial);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn list(issuer: &Issuer<'_, KeyPair>, serials: &[u64]) -> String {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2001, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2001, 1, 1),
        next_update: date_time_ymd(2999, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().pem().unwrap()
}
