//! Compiles guests, in a child process or in this one.
//!
//! Both ways run the same `work` on the same request, and write an image into the cache folder.

mod child;
pub(crate) mod run;
pub(crate) mod work;

pub use child::child_main;
