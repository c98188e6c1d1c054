//! Calls of the bucket, each recorded by its breaker.

use std::time::Instant;

use assay_core::{breaker::Dependency, job_error::JobError};
use assay_objects::Objects;

use crate::{breakers::Inquiries, services::Services};

/// The store, with the breaker of its bucket. Cheap to clone.
#[derive(Clone)]
pub struct BucketCalls {
    objects: Objects,
    inquiries: Inquiries,
}

pub fn bucket_calls(services: &Services) -> BucketCalls {
    BucketCalls { objects: services.objects.clone(), inquiries: services.inquiries.clone() }
}

impl BucketCalls {
    /// Calls the store, also while the breaker is open: an answer that was paid for should be kept if possible.
    ///
    /// A file may lie in another bucket; the breaker ignores calls of that one.
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
        self.inquiries.judge(&Dependency::Bucket, begun, result).await
    }
}
