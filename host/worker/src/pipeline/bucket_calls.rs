//! Calls of the bucket, whose ends its breaker is told.

use std::time::Instant;

use assay_core::{breaker::Dependency, job_error::JobError};
use assay_objects::Objects;

use crate::{breakers::Breakers, services::Services};

/// The store, and the breaker of its bucket. Cheap to clone.
#[derive(Clone)]
pub struct BucketCalls {
    objects: Objects,
    breakers: Breakers,
}

/// The bucket of a worker, as a job calls it.
pub fn bucket_calls(services: &Services) -> BucketCalls {
    BucketCalls { objects: services.objects.clone(), breakers: services.breakers.clone() }
}

impl BucketCalls {
    /// Calls the store. What a job in hand needs of it is called while the breaker is open too: an answer that was paid for
    /// is kept if it can be. A file may lie in a bucket of its own, which says nothing of that of this deployment.
    pub async fn call<T>(
        &self,
        bucket: &str,
        operation: impl AsyncFnOnce(&Objects) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let begun = Instant::now();
        let result = operation(&self.objects).await;
        if bucket != self.objects.bucket() {
            return result;
        }
        self.breakers.record(&Dependency::Bucket, false, begun, result)
    }
}
