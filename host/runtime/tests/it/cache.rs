//! The cache on disk: shared, bounded, and never believed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use assay_runtime::testing::WatGuest;
use assay_runtime::{Guest, Metering, Runtime, RuntimeError};

use crate::support::{Bench, options, transcript};

async fn works(guest: &Guest) -> bool {
    guest.advance(&transcript(), &[]).await.result.is_ok()
}

/// Another process, as far as the cache can tell: nothing in memory, the same folder.
fn restarted(bench: &Bench) -> Runtime {
    Runtime::new(options(bench.folder.path())).unwrap()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[tokio::test]
async fn a_second_process_takes_the_first_ones_image() {
    let bench = Bench::new();
    let bytes = WatGuest::new("shared").build();
    bench.runtime.load(&bytes).await.unwrap();
    let [image] = &bench.images()[..] else { panic!("one image") };
    let made = inode(image);

    let guest = restarted(&bench).load(&bytes).await.unwrap();
    assert!(works(&guest).await);
    assert_eq!(bench.images(), std::slice::from_ref(image));
    assert_eq!(inode(image), made, "not made again");
}

#[tokio::test]
async fn a_cached_guest_loads_without_its_bytes() {
    let bench = Bench::new();
    let bytes = WatGuest::new("cached").build();
    let digest = bench.runtime.load(&bytes).await.unwrap().digest();
    let guest = restarted(&bench).load_cached(digest).await.unwrap().unwrap();
    assert_eq!((guest.digest(), works(&guest).await), (digest, true));

    let unknown = assay_runtime::Digest::of(b"unknown");
    assert!(bench.runtime.load_cached(unknown).await.unwrap().is_none());
    fs::remove_file(&bench.images()[0]).unwrap();
    let fresh = restarted(&bench);
    assert!(fresh.load_cached(digest).await.unwrap().is_none());
    assert!(fresh.load(&bytes).await.is_ok(), "a guest that was not there is no failure to share");
}

#[tokio::test]
async fn a_damaged_image_is_compiled_again() {
    let bench = Bench::new();
    let bytes = WatGuest::new("damaged").build();
    bench.runtime.load(&bytes).await.unwrap();
    let image = bench.images().remove(0);
    let whole = fs::read(&image).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damaged: [&[u8]; 4] = [&flipped, &whole[..whole.len() / 2], b"", b"\x7fELF of some other kind"];
    for content in damaged {
        fs::write(&image, content).unwrap();
        let guest = restarted(&bench).load(&bytes).await.unwrap();
        assert!(works(&guest).await);
        assert_eq!(fs::read(&image).unwrap(), whole, "replaced by a whole one");
    }
}

#[tokio::test]
async fn the_image_of_another_guest_is_not_taken() {
    let bench = Bench::new();
    let (one, other) = (WatGuest::new("one").build(), WatGuest::new("other").build());
    bench.runtime.load(&one).await.unwrap();
    let image = bench.images().remove(0);
    bench.runtime.load(&other).await.unwrap();
    let foreign = bench.images().into_iter().find(|path| *path != image).unwrap();
    fs::copy(&foreign, &image).unwrap();

    let guest = restarted(&bench).load(&one).await.unwrap();
    assert_eq!(guest.manifest().prompt_version, "one");
}

#[tokio::test]
async fn a_link_is_not_an_image() {
    let bench = Bench::new();
    let bytes = WatGuest::new("linked").build();
    bench.runtime.load(&bytes).await.unwrap();
    let image = bench.images().remove(0);
    let elsewhere = bench.folder.path().join("elsewhere");
    fs::rename(&image, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &image).unwrap();

    assert!(works(&restarted(&bench).load(&bytes).await.unwrap()).await);
    assert!(fs::symlink_metadata(&image).unwrap().is_file(), "replaced by a file");
}

#[tokio::test]
async fn engines_with_other_settings_do_not_share_images() {
    let bench = Bench::new();
    let bytes = WatGuest::new("both").build();
    bench.runtime.load(&bytes).await.unwrap();
    let mut metered = options(bench.folder.path());
    metered.metering = Metering::Fuel(1_000_000);
    let guest = Runtime::new(metered).unwrap().load(&bytes).await.unwrap();
    assert!(guest.advance(&transcript(), &[]).await.fuel.is_some());
    assert_eq!(bench.images().len(), 2);
}

#[tokio::test]
async fn the_least_recently_used_image_goes_first() {
    let bench = Bench::new();
    let guests: Vec<_> = ["a", "b", "c"].iter().map(|name| WatGuest::new(name).build()).collect();
    let mut images = Vec::new();
    for (age, bytes) in (1..).zip(&guests) {
        bench.runtime.load(bytes).await.unwrap();
        let fresh = bench.images().into_iter().find(|path| !images.contains(path)).unwrap();
        // As if each had been made on another day, the first one first.
        let made = SystemTime::now() - Duration::from_secs(86_400 * (10 - age));
        fs::File::open(&fresh).unwrap().set_modified(made).unwrap();
        images.push(fresh);
    }
    // The oldest is wanted again, so the second is now the least recently used.
    restarted(&bench).load(&guests[0]).await.unwrap();

    let size = fs::metadata(&images[0]).unwrap().len();
    let mut small = options(bench.folder.path());
    small.cache_bytes = 3 * size + size / 2;
    Runtime::new(small).unwrap().load(&WatGuest::new("d").build()).await.unwrap();
    let left = bench.images();
    assert_eq!(left.len(), 3);
    assert!(left.contains(&images[0]) && !left.contains(&images[1]) && left.contains(&images[2]));
}

#[tokio::test]
async fn an_image_larger_than_the_cache_still_serves() {
    let bench = Bench::with(|options| options.cache_bytes = 1);
    assert!(works(&bench.load(WatGuest::new("large")).await).await);
    assert!(works(&bench.load(WatGuest::new("other")).await).await);
    assert_eq!(bench.images().len(), 1, "the newest");
}

#[tokio::test]
async fn a_deleted_cache_is_made_again() {
    let bench = Bench::new();
    let bytes = WatGuest::new("gone").build();
    bench.runtime.load(&bytes).await.unwrap();
    for image in bench.images() {
        fs::remove_file(image).unwrap();
    }
    assert!(works(&bench.runtime.load(&bytes).await.unwrap()).await);
    assert_eq!(bench.images().len(), 1);
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o750)).unwrap();
    let error = Runtime::new(options(folder.path())).map(|_| ()).unwrap_err();
    assert!(matches!(error, RuntimeError::Cache(assay_runtime::CacheError::NotPrivate { .. })), "{error}");
}

#[test]
fn a_new_folder_is_private_and_cleared_of_what_crashes_left() {
    let bench = Bench::new();
    let cache = bench.folder.path().join("cache");
    assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);

    let (old, new) = (cache.join("compile-old.tmp"), cache.join("compile-new.tmp"));
    fs::write(&old, "half").unwrap();
    fs::write(&new, "half").unwrap();
    fs::File::open(&old).unwrap().set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    restarted(&bench);
    assert!(!old.exists(), "left behind");
    assert!(new.exists(), "perhaps being written");
}
