//! Listing a bucket: one page after the other, never the whole of it.

use time::OffsetDateTime;

use super::{Kind, Objects, ObjectsError};

/// Objects per page: S3's own limit.
pub const PAGE: usize = 1000;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// When it was written, by the store's clock; none where the store does not say.
    pub written_at: Option<OffsetDateTime>,
}

/// At most [`PAGE`] objects, sorted by key.
#[derive(Clone, Debug)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Listed>,
    /// What the next page is asked with; none after the last one.
    pub next: Option<String>,
}

impl Objects {
    /// The objects whose keys begin with `prefix`: the first page, or the one that an earlier page calls the next.
    ///
    /// # Errors
    /// [`Kind::Rejected`] also where the store tells of more and not how to go on: half a listing is none.
    pub async fn list(&self, bucket: &str, prefix: &str, next: Option<&str>) -> Result<Page, ObjectsError> {
        let operation = "list the bucket";
        let listed = self
            .within(operation, async || {
                let request = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
                let request = request.set_continuation_token(next.map(str::to_owned));
                request.send().await.map_err(|error| ObjectsError::from_sdk(operation, error))
            })
            .await?;
        let following = match (listed.is_truncated, listed.next_continuation_token) {
            (Some(true), Some(following)) if Some(following.as_str()) != next => Some(following),
            (Some(true), _) => {
                let error = ObjectsError::new(operation, Kind::Rejected);
                return Err(error.caused_by("a page that is not the last one does not name the next one"));
            }
            _ => None,
        };
        let objects = listed.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let written_at = object.last_modified.and_then(|at| OffsetDateTime::from_unix_timestamp(at.secs()).ok());
            Some(Listed { key: object.key?, written_at })
        });
        Ok(Page { objects: objects.collect(), next: following })
    }
}
