//! The cryptography behind TLS.

/// Chooses the cryptography of TLS for this process. Two are linked, because the clients use different ones, and a client that
/// names none panics unless the process has chosen. Later calls change nothing.
pub fn choose_crypto() {
    // An error says that one was chosen before.
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
