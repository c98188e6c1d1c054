//! TLS for a model: a certificate for the worker to trust, and a listener that takes connections with it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The name in the certificate.
pub const HOST: &str = "localhost";
/// Connections that are shaken hands with and wait to be served.
const BACKLOG: usize = 1024;

/// A certificate, and where its file is.
pub struct Authority {
    /// For `SSL_CERT_FILE`.
    pub file: PathBuf,
    acceptor: TlsAcceptor,
    _folder: tempfile::TempDir,
}

impl Authority {
    /// Makes a certificate.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn new() -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).context("make a certificate")?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, made.cert.pem())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        // As providers do.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { file, acceptor: TlsAcceptor::from(Arc::new(config)), _folder: folder })
    }

    /// Takes the connections of a listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn listener(&self, listener: TcpListener) -> anyhow::Result<TlsListener> {
        let address = listener.local_addr()?;
        let (sender, connections) = mpsc::channel(BACKLOG);
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                // Each by itself: one handshake does not wait for another.
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _stopped = sender.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(TlsListener { address, connections })
    }
}

/// The other end of the connection on which a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Connections after their handshake.
pub struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The listener is gone, and with it the process.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
