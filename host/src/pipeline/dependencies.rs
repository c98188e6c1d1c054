//! Calls of the bucket, whose ends its breaker is told.

use std::time::Instant;

use crate::{breaker::Dependency, breakers::Breakers, error::JobError, objects::Objects, pipeline::Pipeline};

/// The store, and the breaker of its bucket. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket {
    objects: Objects,
    breakers: Breakers,
}

impl Pipeline {
    pub(super) fn bucket(&self) -> Bucket {
        Bucket { objects: self.objects.clone(), breakers: self.breakers.clone() }
    }
}

impl Bucket {
    /// Calls the store. What a job in hand needs of it is called while the breaker is open too: an answer that was paid for
    /// is kept if it can be. A file may lie in a bucket of its own, which says nothing of that of this deployment.
    pub(super) async fn call<T>(
        &self,
        bucket: &str,
        operation: impl AsyncFnOnce(&Objects) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let begun = Instant::now();
        let result = operation(&self.objects).await;
        if bucket != self.objects.bucket() {
            return result;
        }
        self.breakers.note(&Dependency::Bucket, false, begun, result)
    }
}
