//! What the clients of database, bucket and model share: extra roots of trust, and why a connection was not made.

#![forbid(unsafe_code)]

mod connection_fault;
mod crypto;
mod root_file;

pub use connection_fault::{CertificateFault, ConnectionFault};
pub use crypto::choose_crypto;
pub use root_file::{RootFile, RootFileError};
