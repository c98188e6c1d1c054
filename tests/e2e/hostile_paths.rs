//! What a person names on the command line may come from elsewhere: names that steer a terminal, links, devices, pipes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use assay_tests::{AssayProcess, Env, World};

use crate::fixtures::env;

/// An escape sequence that renames the terminal's window, an override of direction, and a zero width space.
const HOSTILE: &str = "x\u{1b}]0;own\u{7}\u{202e}\u{200b}y";
/// Its end, as it is shown; the parser of the command line leaves out the escape sequence itself.
const SHOWN: &str = "\u{fffd}\u{fffd}y";

/// Runs a command that must be refused, and returns its standard error.
async fn refused(env: &Env, arguments: &[&str]) -> String {
    let mut process = AssayProcess::spawn(arguments, env);
    let ok = process.wait().await.success();
    let errors = process.stderr().join("\n");
    assert!(!ok, "{arguments:?}: {errors}");
    errors
}

async fn new_guest(folder: &Path) -> PathBuf {
    let guest = folder.join("minutes-v1");
    let mut made = AssayProcess::spawn(&["guest", "new", "minutes-v1", "--dir", text(&guest)], &BTreeMap::new());
    assert!(made.wait().await.success());
    guest
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_line_steers_the_terminal_or_hides_text() {
    let world = World::start().await;
    let folder = world.folder().join(HOSTILE);
    fs::create_dir(&folder).expect("a folder");
    let guest = new_guest(&folder).await;
    let junk = folder.join("junk.wasm");
    fs::write(&junk, "junk").expect("a file");
    let slides = folder.join("slides.pdf");
    fs::write(&slides, "x").expect("a file");
    fs::write(guest.join("guest.toml"), format!("{HOSTILE} = 1")).expect("a file");
    let (guest, junk, slides, missing) = (text(&guest), text(&junk), text(&slides), format!("missing-{HOSTILE}"));
    for arguments in [
        &["guest", "build", guest][..],
        &["guest", "test", &missing],
        &["guest", "try", guest, slides, "--answer", &missing],
        &["guest", "check", &missing],
        &["release", "publish", junk],
        &["release", "publish", &missing],
        &["submit", slides],
        &["--env-file", &missing, "status"],
        &["report", &missing],
        &[HOSTILE],
    ] {
        let errors = refused(&env(&world), arguments).await;
        let hostile = errors.chars().find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{200b}".contains(*c));
        assert!(hostile.is_none() && errors.contains(SHOWN), "{arguments:?}: {errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_line_break_does_not_begin_a_line() {
    let errors = refused(&BTreeMap::new(), &["guest", "build", "no\nerror: all is lost"]).await;
    assert!(errors.contains("\n  error: all is lost"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_leads_to_devices_pipes_or_other_files_is_refused() {
    let world = tempfile::tempdir().expect("a folder");
    let secret = world.path().join("secret.txt");
    fs::write(&secret, "TOPSECRET").expect("a file");
    let pipe = world.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for (index, (file, target)) in [
        ("fixtures/good/transcript.txt", Path::new("/dev/zero")),
        ("fixtures/good/answers/1.json", &secret),
        ("fixtures/good/expected.json", &pipe),
        ("prompt.md", &secret),
        ("schema.json", Path::new("/dev/zero")),
        ("guest.toml", Path::new("/dev/zero")),
    ]
    .into_iter()
    .enumerate()
    {
        let place = world.path().join(index.to_string());
        fs::create_dir(&place).expect("a folder");
        let guest = new_guest(&place).await;
        fs::remove_file(guest.join(file)).expect("the file of the template");
        symlink(target, guest.join(file)).expect("a link");
        let out = place.join("out.wasm");
        for arguments in [&["guest", "build", text(&guest), "-o", text(&out)][..], &["guest", "test", text(&guest)]] {
            let errors = refused(&BTreeMap::new(), arguments).await;
            assert!(errors.contains(file) && !errors.contains("TOPSECRET"), "{arguments:?}: {errors}");
        }
        assert!(!out.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_or_a_huge_file_on_the_command_line_is_refused_before_it_is_read() {
    let world = World::start().await;
    let guest = new_guest(world.folder()).await;
    let place = |name: &str| world.folder().join(name);
    let (huge, huge_guest, device) = (place("huge.txt"), place("huge.wasm"), place("device.txt"));
    for file in [&huge, &huge_guest] {
        fs::File::create(file).expect("a file").set_len(1 << 40).expect("a sparse file");
    }
    symlink("/dev/zero", &device).expect("a link");
    let (guest, huge, huge_guest, device) = (text(&guest), text(&huge), text(&huge_guest), text(&device));
    for (arguments, named) in [
        (&["submit", huge][..], huge),
        (&["submit", device], device),
        (&["guest", "try", guest, huge], huge),
        (&["guest", "try", guest, device], device),
        (&["release", "publish", huge_guest], huge_guest),
        (&["release", "publish", "/dev/zero"], "/dev/zero"),
        (&["guest", "test", huge_guest], huge_guest),
        (&["--env-file", "/dev/zero", "status"], "/dev/zero"),
        (&["--env-file", huge, "status"], huge),
    ] {
        let errors = refused(&env(&world), arguments).await;
        assert!(errors.contains(named), "{arguments:?}: {errors}");
    }
}
