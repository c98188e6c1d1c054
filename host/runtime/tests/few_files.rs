//! A process at its limit of open files: an image that cannot be read now is not a damaged image.
//!
//! A binary of its own, with one test: the limit holds for the whole process.

use std::{fs, os::unix::fs::MetadataExt};

use assay_runtime::{Compiler, LoadError, Options, Runtime, testing::WatGuest};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[tokio::test]
async fn a_shortage_of_file_descriptors_costs_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options::new(folder.path().join("cache"), Compiler::InProcess, Bytes::new());
    let bytes = WatGuest::new("kept").build();
    let digest = Runtime::new(options()).unwrap().load(&bytes).await.unwrap().digest();
    let image = || {
        let mut entries = fs::read_dir(folder.path().join("cache")).unwrap();
        let image = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none(), "one image");
        fs::metadata(image).unwrap().ino()
    };
    let made = image();

    let given = getrlimit(Resource::Nofile);
    let mut refused = 0;
    for spare in 0..4 {
        let runtime = Runtime::new(options()).unwrap();
        // The lowest number that is free is the next to be given.
        let next = std::os::fd::AsRawFd::as_raw_fd(&fs::File::open("/dev/null").unwrap());
        let few = u64::try_from(next).unwrap() + spare;
        setrlimit(Resource::Nofile, Rlimit { current: Some(few), ..given }).unwrap();
        let cached = runtime.load_cached(digest).await;
        let loaded = runtime.load(&bytes).await;
        setrlimit(Resource::Nofile, given).unwrap();
        for outcome in [cached.map(|guest| guest.is_some()), loaded.map(|_| true)] {
            match outcome {
                Ok(found) => assert!(found, "a good image was taken for none"),
                Err(LoadError::Cache(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(image(), made, "with {spare} files to spare");
    }
    assert!(refused > 0, "the limit is as small as the test means it");
    assert!(Runtime::new(options()).unwrap().load_cached(digest).await.unwrap().is_some());
}
