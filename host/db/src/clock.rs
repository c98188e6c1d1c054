//! The database's clock. Stored instants come from it, and are compared with no other clock.

use time::OffsetDateTime;

use crate::{database::Database, error::DbError};

impl Database {
    /// Returns the database's time.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn clock(&self) -> Result<OffsetDateTime, DbError> {
        self.repeat(async |db| sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(db).await).await
    }
}
