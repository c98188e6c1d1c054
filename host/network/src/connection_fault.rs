//! Why a connection was not made, found in the errors of any client, in words.

use std::{error::Error, fmt, io};

use rustls::CertificateError;

/// Why a connection was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The name has no address (DNS).
    UnknownName,
    /// Nothing listens there.
    Refused,
    /// The network has no way to the address.
    Unreachable,
    /// The other side ended it.
    Reset,
    Certificate(CertificateFault),
    /// The other side speaks no TLS, or none that this side accepts.
    Tls,
}

/// Why a server's certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    Expired,
    NotYetValid,
    UnknownIssuer,
    WrongName,
    Other,
}

impl ConnectionFault {
    /// Looks through an error and what it was made of. Returns `None` where nothing known is in it.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        let mut found = None;
        while let Some(error) = next {
            // An error of TLS says more than the I/O error around it.
            match Self::of_one(error) {
                Some(tls @ (Self::Certificate(_) | Self::Tls)) => return Some(tls),
                other => found = found.or(other),
            }
            next = error.source();
        }
        found
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(match error {
                rustls::Error::InvalidCertificate(error) => Self::Certificate(certificate_fault(error)),
                _ => Self::Tls,
            });
        }
        let error = error.downcast_ref::<io::Error>()?;
        // The error that it wraps is not among its sources.
        if let Some(fault) = error.get_ref().and_then(|inner| Self::of(inner)) {
            return Some(fault);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                Some(Self::Unreachable)
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(Self::Reset),
            // The resolver of the system has no kind of its own.
            _ if error.to_string().starts_with("failed to lookup address information") => Some(Self::UnknownName),
            _ => None,
        }
    }
}

fn certificate_fault(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        _ => CertificateFault::Other,
    }
}

impl ConnectionFault {
    /// Returns the fault in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "the name has no address (DNS)",
            Self::Refused => "the connection was refused",
            Self::Unreachable => "no network leads to the address",
            Self::Reset => "the other side ended the connection",
            Self::Certificate(CertificateFault::Expired) => "TLS: the certificate has expired",
            Self::Certificate(CertificateFault::NotYetValid) => "TLS: the certificate is not valid yet",
            Self::Certificate(CertificateFault::UnknownIssuer) => "TLS: the certificate is of an unknown issuer",
            Self::Certificate(CertificateFault::WrongName) => "TLS: the certificate is for another name",
            Self::Certificate(CertificateFault::Other) => "TLS: the certificate is not accepted",
            Self::Tls => "TLS: the two sides found no common way to encrypt",
        }
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, ToSocketAddrs};

    use super::*;

    /// An error of a client: a text, and what caused it.
    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Outer(#[source] io::Error);

    fn invalid(error: CertificateError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(error))
    }

    #[test]
    fn a_certificate_is_told_by_what_is_wrong_with_it() {
        for (error, fault) in [
            (CertificateError::Expired, CertificateFault::Expired),
            (CertificateError::NotValidYet, CertificateFault::NotYetValid),
            (CertificateError::UnknownIssuer, CertificateFault::UnknownIssuer),
            (CertificateError::NotValidForName, CertificateFault::WrongName),
            (CertificateError::Revoked, CertificateFault::Other),
        ] {
            let wanted = Some(ConnectionFault::Certificate(fault));
            assert_eq!(ConnectionFault::of(&invalid(error.clone())), wanted);
            assert_eq!(ConnectionFault::of(&Outer(invalid(error.clone()))), wanted, "a source");
            assert_eq!(ConnectionFault::of(&io::Error::other(Outer(invalid(error)))), wanted, "wrapped");
        }
        let other = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(ConnectionFault::of(&Outer(other)), Some(ConnectionFault::Tls));
    }

    #[test]
    fn what_the_system_says_is_told_too() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let refused = TcpStream::connect(free).expect_err("nobody listens");
        assert_eq!(ConnectionFault::of(&Outer(refused)), Some(ConnectionFault::Refused));
        let unknown = ("no-such-host.invalid", 80).to_socket_addrs().expect_err("a name that nobody may own");
        assert_eq!(ConnectionFault::of(&Outer(unknown)), Some(ConnectionFault::UnknownName));
        let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(ConnectionFault::of(&ended), Some(ConnectionFault::Reset));
    }

    #[test]
    fn other_errors_have_no_such_cause() {
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::InvalidData] {
            assert_eq!(ConnectionFault::of(&Outer(io::Error::from(kind))), None, "{kind}");
        }
        assert_eq!(ConnectionFault::of(&io::Error::other("the certificate has expired")), None);
        assert_eq!(ConnectionFault::of(&fmt::Error), None);
    }
}
