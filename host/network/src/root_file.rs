//! A file of certificates that are trusted besides the system's roots.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Far more than every public authority together.
const MAX_BYTES: u64 = 4 << 20;

/// Certificates in PEM, each of which was read as a root of trust.
#[derive(Clone, Debug)]
pub struct RootFile {
    path: PathBuf,
    pem: Arc<[u8]>,
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootFileError {
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it has no certificate in PEM")]
    NoCertificate,
    #[error("certificate {0} of it is no root of trust")]
    BadCertificate(usize),
}

impl RootFile {
    /// Reads a file with one certificate or more.
    ///
    /// # Errors
    /// The file cannot be read, has no certificate, or one that is not well formed.
    pub fn read(path: &Path) -> Result<Self, RootFileError> {
        let unreadable = |error: std::io::Error| RootFileError::Unreadable(error.kind());
        let mut pem = Vec::new();
        fs::File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1).read_to_end(&mut pem).map_err(unreadable)?;
        if pem.len() as u64 > MAX_BYTES {
            return Err(RootFileError::TooLarge);
        }
        let mut store = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
            let bad = RootFileError::BadCertificate(index + 1);
            let Ok(certificate) = certificate else { return Err(bad) };
            if store.add(certificate).is_err() {
                return Err(bad);
            }
        }
        if store.is_empty() {
            return Err(RootFileError::NoCertificate);
        }
        Ok(Self { path: path.to_owned(), pem: pem.into() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn pem(&self) -> &[u8] {
        &self.pem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<RootFile, RootFileError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), content).expect("a file");
        RootFile::read(file.path())
    }

    #[test]
    fn what_is_no_root_is_refused_and_told() {
        assert!(matches!(read(""), Err(RootFileError::NoCertificate)));
        assert!(matches!(read("a certificate"), Err(RootFileError::NoCertificate)));
        let body = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(body), Err(RootFileError::BadCertificate(1))));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(read(cut), Err(RootFileError::BadCertificate(1))), "a section without an end");
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(read(key), Err(RootFileError::NoCertificate)));
        assert!(matches!(RootFile::read(Path::new("/nowhere")), Err(RootFileError::Unreadable(_))));
        assert!(matches!(RootFile::read(Path::new("/dev/zero")), Err(RootFileError::TooLarge)));
    }
}
