//! From WAT to a core module or a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

const REPORT_WIT: &str = include_str!("../../../../wit/report.wit");

/// Makes a component for the world `report-guest` from a core module's text.
///
/// # Panics
/// When the text is not a core module, or lacks an export of the world: a mistake in the test.
pub fn guest_from_wat(core: &str) -> Vec<u8> {
    componentize(&core_from_wat(core))
}

/// As [`guest_from_wat`], for a guest that imports the WASI of wasi.wit.
pub(super) fn wasi_guest_from_wat(core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    push(&mut resolve, "report.wit", REPORT_WIT);
    let package = push(&mut resolve, "wasi.wit", include_str!("wasi.wit"));
    componentize(&typed(core, &resolve, package, "wasi-guest"))
}

/// Makes a core module with its world in it, as a compiler writes one.
///
/// # Panics
/// When the text is not a core module: a mistake in the test.
pub fn core_from_wat(core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = push(&mut resolve, "report.wit", REPORT_WIT);
    typed(core, &resolve, package, "report-guest")
}

fn push(resolve: &mut Resolve, name: &str, text: &str) -> PackageId {
    resolve.push_str(name, text).unwrap_or_else(|error| panic!("{name} parses: {error:#}"))
}

fn typed(core: &str, resolve: &Resolve, package: PackageId, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("parse the guest's WAT: {error}"));
    let world = resolve.select_world(&[package], Some(world)).expect("the package has the world");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("the world encodes");
    module
}

fn componentize(core: &[u8]) -> Vec<u8> {
    let encoder = ComponentEncoder::default().validate(true).module(core);
    encoder.and_then(|mut encoder| encoder.encode()).unwrap_or_else(|error| panic!("componentize the guest: {error:#}"))
}
