//! Lists a bucket page by page; a bucket may hold more objects than fit into memory.

use time::OffsetDateTime;

use crate::{
    objects::Objects,
    objects_error::{ObjectsError, ObjectsErrorKind},
};

/// Objects per page: the limit of S3.
pub const MAX_PAGE_OBJECTS: usize = 1000;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    /// When it was written, by the store's clock; `None` if the store does not say.
    pub written_at: Option<OffsetDateTime>,
}

/// At most [`MAX_PAGE_OBJECTS`] objects, sorted by key.
#[derive(Clone, Debug)]
pub struct ListingPage {
    pub objects: Vec<ListedObject>,
    /// The token of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl Objects {
    /// Returns objects whose keys begin with `prefix`: the first page, or the page of the token `next`.
    ///
    /// # Errors
    /// Returns [`ObjectsErrorKind::Rejected`] also if the store announces another page without a usable token.
    pub async fn list(&self, bucket: &str, prefix: &str, next: Option<&str>) -> Result<ListingPage, ObjectsError> {
        let operation = "list the bucket";
        let listed = self
            .with_deadline(operation, |client| async move {
                let request = client.list_objects_v2().bucket(bucket).prefix(prefix);
                let request = request.set_continuation_token(next.map(str::to_owned));
                request.send().await.map_err(|error| ObjectsError::from_sdk(operation, error))
            })
            .await?;
        let following = match (listed.is_truncated, listed.next_continuation_token) {
            (Some(true), Some(following)) if Some(following.as_str()) != next => Some(following),
            (Some(true), _) => {
                let error = ObjectsError::new(operation, ObjectsErrorKind::Rejected);
                return Err(error.caused_by("the store announced another page without a token for it"));
            }
            _ => None,
        };
        let objects = listed.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let written_at = object.last_modified.and_then(|at| OffsetDateTime::from_unix_timestamp(at.secs()).ok());
            Some(ListedObject { key: object.key?, written_at })
        });
        Ok(ListingPage { objects: objects.collect(), next: following })
    }
}
