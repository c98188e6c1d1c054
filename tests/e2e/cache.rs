//! The cache of compiled guests, through real workers: shared, repaired, and refused where others could exchange it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

use assay_runtime::testing::WatGuest;
use assay_tests::{AssayProcess, Reply, World};

use crate::fixtures::{Env, TRANSCRIPT, env_with_guests, with};

/// Returns a world with one guest, and the environment of workers with a cache of their own, which is empty.
async fn cold() -> (World, Env, PathBuf) {
    let world = World::start().await;
    world.model.always(Reply::answer("{}"));
    let cache = world.folder().join("cache");
    let env =
        with(env_with_guests(&world, &[WatGuest::new("cold")]), &[("GUEST_CACHE_DIR", &cache.display().to_string())]);
    (world, env, cache)
}

/// Waits for a worker that has guest and verifier to compile first. Each may take its time.
async fn started(worker: &AssayProcess) {
    worker.wait_for_line("guest compiled").await;
    worker.wait_for_line("worker started").await;
}

/// Returns what lies in the cache: the path, the inode and the content of each file.
fn files(cache: &PathBuf) -> Vec<(PathBuf, u64, Vec<u8>)> {
    let entries = fs::read_dir(cache).expect("the cache");
    let read = |entry: fs::DirEntry| (entry.path(), entry.metadata().unwrap().ino(), fs::read(entry.path()).unwrap());
    let mut found: Vec<_> = entries.map(|entry| read(entry.unwrap())).collect();
    found.sort();
    found
}

async fn runs_jobs(world: &World, count: usize) {
    for _ in 0..count {
        let id = world.enqueue(TRANSCRIPT).await;
        world.wait_for_status(id, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_fill_and_share_one_cache() {
    let (world, env, cache) = cold().await;
    let workers = [AssayProcess::spawn(&["worker"], &env), AssayProcess::spawn(&["worker"], &env)];
    for worker in &workers {
        started(worker).await;
    }
    let made = files(&cache);
    assert_eq!(made.len(), 2, "guest and verifier, once each, and nothing unfinished");
    assert!(made.iter().all(|(path, ..)| path.extension().is_some_and(|kind| kind == "image")));
    runs_jobs(&world, 4).await;

    let third = AssayProcess::spawn(&["worker"], &env);
    third.wait_for_line("worker started").await;
    assert!(third.stderr().iter().all(|line| !line.contains("guest compiled")), "it found both");
    assert_eq!(files(&cache), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_compiles_damaged_and_half_written_images_again() {
    let (world, env, cache) = cold().await;
    let first = AssayProcess::spawn(&["worker"], &env);
    started(&first).await;
    drop(first);
    let whole = files(&cache);
    let [(one, _, content), (other, _, half)] = &whole[..] else { panic!("guest and verifier") };
    let mut flipped = content.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(one, flipped).unwrap();
    fs::write(other, &half[..half.len() / 2]).unwrap();

    let second = AssayProcess::spawn(&["worker"], &env);
    second.wait_for_line("cached guest image is damaged").await;
    started(&second).await;
    let damaged = second.stderr().iter().filter(|line| line.contains("cached guest image is damaged")).count();
    assert_eq!(damaged, 2);
    runs_jobs(&world, 1).await;
    let contents = |files: Vec<(PathBuf, u64, Vec<u8>)>| -> Vec<_> {
        files.into_iter().map(|(path, _, content)| (path, content)).collect()
    };
    assert_eq!(contents(files(&cache)), contents(whole), "as they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_precompiled_guests_and_compiles_nothing() {
    let (world, env, _) = cold().await;
    let images = world.folder().join("images");
    let out = images.display().to_string();
    let guests = env["GUEST_DIR"].clone();
    // Twice: what is there stays.
    for _ in 0..2 {
        let mut precompile = AssayProcess::spawn(&["guest", "precompile", &guests, "--out", &out, "--json"], &env);
        assert!(precompile.wait().await.success(), "{:?}", precompile.stderr());
    }
    let made = files(&images);
    assert_eq!(made.len(), 2, "guest and verifier");
    let mode = |path: &PathBuf| fs::metadata(path).expect("it was listed").mode() & 0o777;
    assert_eq!((mode(&images), mode(&made[0].0)), (0o755, 0o644), "for every user that runs the program");

    let worker = AssayProcess::spawn(&["worker"], &with(env, &[("GUEST_CACHE_DIR", &out)]));
    worker.wait_for_line("worker started").await;
    runs_jobs(&world, 2).await;
    assert!(worker.stderr().iter().all(|line| !line.contains("guest compiled")), "it found both");
    assert_eq!(files(&images), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_folder_compiles_into_memory() {
    let (world, env, cache) = cold().await;
    let worker = AssayProcess::spawn(&["worker"], &with(env, &[("GUEST_CACHE_DIR", "none")]));
    started(&worker).await;
    runs_jobs(&world, 2).await;
    assert!(!cache.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_not_precompiled_for_an_unknown_processor() {
    let (world, env, _) = cold().await;
    let out = world.folder().join("images").display().to_string();
    let command = ["guest", "precompile", "guest.wasm", "--out", &out, "--cpu", "x86-64-v9"];
    let mut precompile = AssayProcess::spawn(&command, &env);
    assert_eq!(precompile.wait().await.code(), Some(2));
    assert!(precompile.stderr().join("\n").contains("expected one of native, x86-64-v3, x86-64-v2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_not_start_where_others_could_exchange_its_cache() {
    let (world, env, _) = cold().await;
    let open = world.folder().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let env = with(env, &[("GUEST_CACHE_DIR", &open.join("cache").display().to_string())]);
    let mut worker = AssayProcess::spawn(&["worker"], &env);
    assert!(!worker.wait().await.success());
    let line = worker.wait_for_line("could exchange it").await;
    assert!(line.contains("chmod go-w"), "{line}");
}
