use std::fmt;

/// The credentials that a server accepts.
#[derive(Clone)]
pub struct Keys {
    pub access: String,
    pub secret: String,
}

impl Keys {
    pub fn random() -> Self {
        Self { access: "assay-dev".to_owned(), secret: format!("{:032x}", rand::random::<u128>()) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access", &self.access).field("secret", &"…").finish()
    }
}
