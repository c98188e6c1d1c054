//! The cryptography behind TLS.

/// Chooses the cryptography of TLS for this process: two are linked, because the clients were built with different ones, and a
/// client that is told none of them takes the process's. Later calls change nothing.
pub fn choose_crypto() {
    // An error says that one was chosen before.
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
