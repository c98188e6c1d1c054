//! The one clock that stored instants come from.

use time::OffsetDateTime;

use crate::{Database, DbError};

impl Database {
    /// The database's clock: stored instants are compared with no other.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn clock(&self) -> Result<OffsetDateTime, DbError> {
        self.run(async |db| sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(db).await).await
    }
}
