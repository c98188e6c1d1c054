//! The compile child as a program of its own, for tools and tests; the binary `assay` contains the same.

fn main() -> std::process::ExitCode {
    assay_runtime::compiler::child_main()
}
