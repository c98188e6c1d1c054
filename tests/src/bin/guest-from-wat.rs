//! Makes a guest for tests out of a core module's text: `guest-from-wat IN.wat OUT.wasm`. The scripts in tests/field use it.

use std::{env, fs};

use anyhow::{Context, Result};
use assay_runtime::testing::guest_from_wat;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let (text, component) = (arguments.next().context("name a file to read")?, arguments.next());
    let core = fs::read_to_string(&text).with_context(|| format!("read {}", text.display()))?;
    let component = component.context("name a file to write")?;
    fs::write(&component, guest_from_wat(&core)).with_context(|| format!("write {}", component.display()))
}
