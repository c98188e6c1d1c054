//! Compiled guests on disk.

mod cache_error;
mod image_cache;
mod private_folder;

pub use cache_error::CacheError;
pub use image_cache::{ImageCache, ImageKey};
