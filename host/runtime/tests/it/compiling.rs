//! Compiling in a child process, and children that go wrong.

use std::{
    ffi::OsString,
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use assay_runtime::{Allocation, Compiler, LoadError, Metering, Runtime, testing::WatGuest};

use crate::support::{Bench, options};

fn child() -> Compiler {
    Compiler::Child { program: env!("CARGO_BIN_EXE_assay-compile").into(), args: vec![] }
}

fn shell(script: &str) -> Compiler {
    Compiler::Child { program: "/bin/sh".into(), args: ["-c", script].map(OsString::from).to_vec() }
}

/// A guest with this many functions of some hundred instructions, all different.
fn large(functions: usize) -> WatGuest {
    let mut fields = String::new();
    for number in 0..functions {
        let step = format!(
            "(local.set 0 (i32.xor (i32.mul (local.get 0) (i32.const {number})) (i32.rotl (local.get 0) (i32.const 7)))) "
        );
        write!(fields, "(func (param i32) (result i32) {} (local.get 0))", step.repeat(100)).unwrap();
    }
    WatGuest::new("large").fields(&fields)
}

#[tokio::test]
async fn what_a_child_compiles_runs_here() {
    for (metering, allocation) in [
        (Metering::Off, Allocation::Pooling),
        (Metering::Fuel(100_000), Allocation::Pooling),
        (Metering::Off, Allocation::OnDemand),
    ] {
        let bench = Bench::with(|options| {
            options.compiler = child();
            options.metering = metering;
            options.allocation = allocation;
        });
        assert!(bench.first_step(WatGuest::new("child")).await.result.is_ok(), "{metering:?} {allocation:?}");
        assert_eq!(bench.images().len(), 1);
    }
}

#[tokio::test]
async fn child_and_process_compile_the_same_image() {
    let bench = Bench::with(|options| options.compiler = child());
    let bytes = large(20).build();
    bench.runtime.load(&bytes).await.unwrap();
    let of_child = bench.images();
    std::fs::remove_file(&of_child[0]).unwrap();
    Runtime::new(options(bench.folder.path())).unwrap().load(&bytes).await.unwrap();
    assert_eq!(bench.images(), of_child, "the name holds the content's hash");
}

#[tokio::test]
async fn a_compile_that_takes_too_long_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let mut options = options(folder.path());
    options.compiler = shell(&format!("echo $$ > {}; exec sleep 600", pid.display()));
    options.limits.compile = Duration::from_millis(500);
    let runtime = Runtime::new(options).unwrap();

    let begun = Instant::now();
    let error = runtime.load(&WatGuest::new("slow").build()).await.unwrap_err();
    assert_eq!(error, LoadError::CompileTimeout { seconds: 0 });
    assert!(begun.elapsed() < Duration::from_secs(60));
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_until_gone(&Path::new("/proc").join(pid.trim()));
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 0, "nothing half-written stays");
}

#[tokio::test]
async fn a_guest_that_takes_too_long_to_compile_does_not_load() {
    let bench = Bench::with(|options| {
        options.compiler = child();
        options.limits.compile = Duration::from_millis(50);
    });
    assert_eq!(bench.refusal(&large(500).build()).await, LoadError::CompileTimeout { seconds: 0 });
    assert!(bench.images().is_empty());
}

/// A killed child is reaped by the async runtime in the background, or is a zombie until then.
fn wait_until_gone(process: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_gone = || match std::fs::read_to_string(process.join("stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    while !is_gone() {
        assert!(Instant::now() < deadline, "the child runs on");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_compile_without_enough_memory_dies_alone() {
    let bench = Bench::with(|options| {
        options.compiler = child();
        options.limits.compile_memory_bytes = 32 << 20;
    });
    let error = bench.refusal(&large(2_000).build()).await;
    assert_eq!(error, LoadError::CompilerDied);
    assert!(bench.images().is_empty());
}

#[tokio::test]
async fn children_that_break_the_protocol_are_classified() {
    let cases = [
        (shell("exit 0"), LoadError::CompilerDied),
        (shell("exec cat"), LoadError::CompilerDied),
        (shell("kill -SEGV $$"), LoadError::CompilerDied),
        (shell("cat > /dev/null; echo '\"Refused\"'"), LoadError::CompileRefused),
        (
            shell(&format!("cat > /dev/null; echo '{{\"Done\":{{\"compatibility\":\"{}\"}}}}'", "0".repeat(64))),
            LoadError::CompilerMismatch,
        ),
        (
            Compiler::Child { program: "/no/such/program".into(), args: vec![] },
            LoadError::CompilerStart(std::io::ErrorKind::NotFound),
        ),
    ];
    for (compiler, expected) in cases {
        let name = format!("{compiler:?}");
        let bench = Bench::with(|options| options.compiler = compiler);
        assert_eq!(bench.refusal(&WatGuest::new("any").build()).await, expected, "{name}");
        assert!(bench.images().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_child_gets_nothing_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let mut options = options(folder.path());
    options.compiler = shell(&format!("cat /proc/self/environ > {}", seen.display()));
    let _ = Runtime::new(options).unwrap().load(&WatGuest::new("any").build()).await;
    let seen = std::fs::read_to_string(seen).unwrap();
    // A shell sets these by itself.
    let foreign = seen
        .split('\0')
        .filter(|var| !var.is_empty() && !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| var.starts_with(own)));
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[tokio::test]
async fn callers_that_wait_for_a_failing_compile_share_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let mut options = options(folder.path());
    options.compiler = shell(&format!("echo x >> {}; cat > /dev/null; exit 1", count.display()));
    let runtime = Runtime::new(options).unwrap();
    let bytes = WatGuest::new("failing").build();

    let loads = tokio::join!(runtime.load(&bytes), runtime.load(&bytes), runtime.load(&bytes));
    for load in [loads.0, loads.1, loads.2] {
        assert_eq!(load.unwrap_err(), LoadError::CompilerDied);
    }
    let runs = || std::fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(runs(), 1);
    runtime.load(&bytes).await.unwrap_err();
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn a_lost_or_exchanged_image_is_not_the_guests_fault() {
    let compiler = env!("CARGO_BIN_EXE_assay-compile");
    let cases = [
        ("rm -f compile-*.tmp", LoadError::Cache(std::io::ErrorKind::NotFound)),
        ("for image in compile-*.tmp; do echo other > $image; done", LoadError::CompilerMismatch),
    ];
    for (then, expected) in cases {
        let bench = Bench::with(|options| options.compiler = shell(&format!("{compiler}; {then}")));
        assert_eq!(bench.refusal(&WatGuest::new("any").build()).await, expected, "{then}");
        assert!(bench.images().is_empty(), "{then}");
    }
}

#[tokio::test]
async fn a_child_that_writes_too_much_or_reads_nothing_is_killed() {
    let cases = [
        (shell("cat > /dev/null; exec cat /dev/zero"), LoadError::CompilerDied),
        // More than a pipe holds is on its way to it.
        (shell("exec cat /dev/zero"), LoadError::CompilerDied),
        (shell("echo '\"Refused\"'; exec 1>&-; exec sleep 600"), LoadError::CompileRefused),
    ];
    for (compiler, expected) in cases {
        let name = format!("{compiler:?}");
        let bench = Bench::with(|options| options.compiler = compiler);
        assert_eq!(bench.refusal(&large(200).build()).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_compile_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let mut options = options(folder.path());
    options.compiler = shell(&format!("sleep 600 & echo $! > {}; wait", pid.display()));
    options.limits.compile = Duration::from_millis(500);
    let runtime = Runtime::new(options).unwrap();
    let error = runtime.load(&WatGuest::new("slow").build()).await.unwrap_err();
    assert_eq!(error, LoadError::CompileTimeout { seconds: 0 });
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_until_gone(&Path::new("/proc").join(pid.trim()));
}

#[test]
fn a_compile_ends_with_the_process_that_wants_it() {
    let (held_by_child, held_here) = std::io::pipe().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_assay-compile"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(held_by_child)
        .spawn()
        .unwrap();
    let process = Path::new("/proc").join(child.id().to_string());
    assert_eq!(child.try_wait().unwrap(), None, "it waits for a request");
    // What the system does for a parent that is killed. Its request is still open.
    drop(held_here);
    wait_until_gone(&process);
    let signal = std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap());
    assert_eq!(signal, Some(rustix::process::Signal::KILL.as_raw()));
}

#[tokio::test]
async fn a_compile_is_limited_before_it_reads_the_guest() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, seen) = (folder.path().join("pid"), folder.path().join("seen"));
    let (pid_path, seen_path, compiler) = (pid.display(), seen.display(), env!("CARGO_BIN_EXE_assay-compile"));
    // Passes on the request, and the guest only when the limits are set; writable memory is the last one. Standard error is not for writing.
    let script = format!(
        "{{ exec 2> /dev/null; IFS= read -r request; printf '%s\\n' \"$request\"
           until grep -q 'Max data size *2147483648 *2147483648' /proc/$(cat {pid_path})/limits; do :; done
           cat /proc/$(cat {pid_path})/limits > {seen_path}; cat; }} | sh -c 'echo $$ > {pid_path}; exec {compiler}'"
    );
    let mut options = options(folder.path());
    options.compiler = shell(&script);
    Runtime::new(options).unwrap().load(&WatGuest::new("any").build()).await.unwrap();

    let seen = std::fs::read_to_string(seen).unwrap();
    let limit = |name: &str| {
        let line = seen.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(|limit| limit.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(limit("Max core file size"), [0, 0], "no dump of a guest's bytes");
    assert_eq!(limit("Max data size"), [2 << 30, 2 << 30]);
    assert_eq!(limit("Max address space"), [14 << 30, 14 << 30]);
    assert_eq!(limit("Max file size"), [2 << 30, 2 << 30]);
    assert_eq!(limit("Max cpu time"), [480, 480]);
}
