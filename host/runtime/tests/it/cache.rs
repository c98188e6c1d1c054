//! The cache on disk: shared, bounded, and checked.

#![expect(clippy::disallowed_methods, reason = "sets the times of files")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

use assay_runtime::{CacheError, Compiler, Cpu, Guest, Metering, Runtime, RuntimeError, testing::WatGuest};

use crate::support::{Bench, options, transcript};

async fn works(guest: &Guest) -> bool {
    guest.advance(&transcript(), &[]).await.result.is_ok()
}

/// Acts as another process: nothing in memory, the same folder.
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

#[tokio::test]
async fn a_folder_that_others_can_enter_is_only_read() {
    let bench = Bench::new();
    let bytes = WatGuest::new("given").build();
    bench.runtime.load(&bytes).await.unwrap();
    let cache = bench.folder.path().join("cache");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    let given = bench.images();
    // Nothing is compiled that is there, and what is compiled stays in memory.
    let mut without_compiler = options(bench.folder.path());
    without_compiler.compiler = Compiler::Child { program: "/bin/false".into(), args: vec![] };
    assert!(works(&Runtime::new(without_compiler).unwrap().load(&bytes).await.unwrap()).await);
    let reader = restarted(&bench);
    let other = WatGuest::new("other").build();
    let digest = reader.load(&other).await.unwrap().digest();
    assert!(works(&reader.load_cached(digest).await.unwrap().unwrap()).await);
    assert_eq!(bench.images(), given);

    // A file that another user could have written is not taken, and not touched.
    fs::set_permissions(&given[0], fs::Permissions::from_mode(0o666)).unwrap();
    let digest = reader.load(&bytes).await.unwrap().digest();
    assert!(restarted(&bench).load_cached(digest).await.unwrap().is_none());
    assert_eq!(bench.images(), given);
}

#[tokio::test]
async fn a_folder_that_others_write_to_holds_a_private_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o2777)).unwrap();
    let bytes = WatGuest::new("shared").build();
    let runtime = Runtime::new(options(folder.path())).unwrap();
    let digest = runtime.load(&bytes).await.unwrap().digest();
    let private = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
    let images = || fs::read_dir(&private).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(images().len(), 1);
    // Another user exchanges it: the folder that was opened goes on.
    let away = cache.join("away");
    fs::rename(&private, &away).unwrap();
    fs::create_dir(&private).unwrap();
    assert!(works(&runtime.load_cached(digest).await.unwrap().unwrap()).await);
    runtime.load(&WatGuest::new("later").build()).await.unwrap();
    assert_eq!((fs::read_dir(&away).unwrap().count(), images().len()), (2, 0));

    // What lay open to others may be anybody's.
    fs::remove_dir(&private).unwrap();
    fs::rename(&away, &private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o2770)).unwrap();
    let again = Runtime::new(options(folder.path())).unwrap();
    assert_eq!((images().len(), fs::metadata(&private).unwrap().mode() & 0o777), (0, 0o700));
    assert!(again.load_cached(digest).await.unwrap().is_none());
    assert!(works(&again.load(&bytes).await.unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_guests_stay_in_memory() {
    for compiler in [child(), Compiler::InProcess] {
        let bench = Bench::with(|options| {
            options.cache = None;
            options.compiler = compiler;
        });
        let bytes = WatGuest::new("memory").build();
        let digest = bench.runtime.load(&bytes).await.unwrap().digest();
        assert!(works(&bench.runtime.load_cached(digest).await.unwrap().unwrap()).await, "without its bytes");
        let unknown = assay_runtime::Digest::of(b"unknown");
        assert!(bench.runtime.load_cached(unknown).await.unwrap().is_none());
        assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn an_image_for_a_level_of_this_machines_processor_is_taken() {
    // A machine of another architecture has none of the levels.
    for cpu in [Cpu::X86_64V2, Cpu::X86_64V3].into_iter().filter(|cpu| cpu.is_here()) {
        let bench = Bench::with(|options| options.cpu = cpu);
        let bytes = WatGuest::new("level").build();
        let digest = bench.runtime.load(&bytes).await.unwrap().digest();
        let made = bench.images();
        let native = restarted(&bench);
        assert!(works(&native.load_cached(digest).await.unwrap().unwrap()).await, "{}", cpu.name());
        assert!(works(&native.load(&bytes).await.unwrap()).await);
        assert_eq!(bench.images(), made, "not made again");
    }
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

#[test]
fn a_link_is_not_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("cache")).unwrap();
    let error = Runtime::new(options(folder.path())).map(|_| ()).unwrap_err();
    assert!(matches!(error, RuntimeError::Cache(CacheError::NotOwn { .. })), "{error}");
}

#[test]
fn a_folder_that_others_can_exchange_is_refused_unless_sticky() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("above");
    let between = above.join("between");
    fs::create_dir_all(&between).unwrap();
    let open = |mode| {
        fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
        Runtime::new(options(&between)).map(|_| ())
    };
    let error = open(0o777).unwrap_err();
    let real = fs::canonicalize(&above).unwrap();
    assert!(
        matches!(&error, RuntimeError::Cache(CacheError::ParentWritable { parent, .. }) if *parent == real),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("chmod go-w {}", real.display())), "{error}");
    open(0o1777).unwrap();
    open(0o755).unwrap();
}

#[test]
fn a_folder_is_checked_at_its_real_path() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    let error = Runtime::new(options(&link)).map(|_| ()).unwrap_err();
    assert!(matches!(error, RuntimeError::Cache(CacheError::ParentWritable { .. })), "{error}");
}

#[tokio::test]
async fn a_half_written_image_is_compiled_again_and_never_loaded() {
    let bench = Bench::new();
    let bytes = WatGuest::new("half").build();
    let digest = bench.runtime.load(&bytes).await.unwrap().digest();
    let image = bench.images().remove(0);
    let whole = fs::read(&image).unwrap();
    // As a crash leaves it: cut under its full name, and what a compiler had begun beside it.
    fs::write(&image, &whole[..whole.len() - 1]).unwrap();
    fs::write(image.with_file_name("compile-half.tmp"), &whole).unwrap();

    assert!(restarted(&bench).load_cached(digest).await.unwrap().is_none());
    assert!(!image.exists(), "dropped");
    assert!(works(&restarted(&bench).load(&bytes).await.unwrap()).await);
    assert_eq!(fs::read(&image).unwrap(), whole);
}

#[tokio::test]
async fn an_image_that_cannot_be_read_stays_until_a_new_one_replaces_it() {
    let bench = Bench::new();
    let bytes = WatGuest::new("unread").build();
    let digest = bench.runtime.load(&bytes).await.unwrap().digest();
    let image = bench.images().remove(0);
    fs::remove_file(&image).unwrap();
    // Opening a socket is an error of the system's. It is renamed because an image's name is longer than a socket's may be.
    let socket = bench.folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    fs::rename(&socket, &image).unwrap();

    let restarted = restarted(&bench);
    assert!(matches!(restarted.load_cached(digest).await.unwrap_err(), assay_runtime::LoadError::Cache(_)));
    assert!(fs::symlink_metadata(&image).is_ok(), "nothing is deleted for an error");
    assert!(works(&restarted.load(&bytes).await.unwrap()).await);
    assert!(fs::symlink_metadata(&image).unwrap().is_file());
}

#[tokio::test]
async fn an_image_that_is_exchanged_after_its_check_is_checked_again() {
    let bench = Bench::new();
    let bytes = WatGuest::new("exchanged").build();
    drop(bench.runtime.load(&bytes).await.unwrap());
    let image = bench.images().remove(0);
    let mut other = fs::read(&image).unwrap();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    let beside = bench.folder.path().join("other");
    fs::write(&beside, &other).unwrap();
    fs::rename(&beside, &image).unwrap();

    assert!(works(&bench.runtime.load(&bytes).await.unwrap()).await);
    assert_ne!(fs::read(&image).unwrap(), other, "compiled again");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_fill_one_cache_at_the_same_time() {
    let bench = Bench::with(|options| options.compiler = child());
    let mut second = options(bench.folder.path());
    second.compiler = child();
    let second = Runtime::new(second).unwrap();
    let bytes = WatGuest::new("both").build();
    let (one, other) = tokio::join!(bench.runtime.load(&bytes), second.load(&bytes));
    assert!(works(&one.unwrap()).await && works(&other.unwrap()).await);
    assert_eq!(bench.images().len(), 1, "the same image under the same name, and nothing unfinished");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_another_process_deletes_at_once_still_serves() {
    let bench = Bench::with(|options| options.cache_bytes = 1);
    let mut second = options(bench.folder.path());
    second.cache_bytes = 1;
    let second = Runtime::new(second).unwrap();
    for round in 0..20 {
        let guests = ["one", "other"].map(|name| WatGuest::new(&format!("{name}-{round}")).build());
        let (one, other) = tokio::join!(bench.runtime.load(&guests[0]), second.load(&guests[1]));
        assert!(works(&one.unwrap()).await && works(&other.unwrap()).await);
    }
}

fn child() -> Compiler {
    Compiler::Child { program: env!("CARGO_BIN_EXE_assay-compile").into(), args: vec![] }
}
