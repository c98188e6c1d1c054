//! From a core module to a component, and what the component may import.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, WitPrinter};

use crate::error::{BuildError, BuildReason, BuildStep};

/// Without versions.
const ALLOWED_IMPORTS: [&str; 2] = ["assay:report/log", "assay:report/types"];
const GUEST_EXPORT: &str = "assay:report/guest";

/// Turns a core module into a validated component. Without an adapter, an import of WASI is an error.
///
/// # Errors
///
/// [`BuildStep::Componentize`] for a module without the world's exports, [`BuildStep::Imports`] for one that imports more than
/// `assay:report/log` and the function-free `assay:report/types`.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let step = BuildStep::Componentize;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    let names = InterfaceNames::of(&component)?;
    if let Some(foreign) = names.imports.iter().find(|name| !ALLOWED_IMPORTS.contains(&unversioned(name))) {
        return Err(BuildError::new(BuildStep::Imports, BuildReason::ForeignImport(foreign.clone())));
    }
    if !names.exports.iter().any(|name| unversioned(name) == GUEST_EXPORT) {
        return Err(BuildError::new(step, BuildReason::MissingExport(GUEST_EXPORT)));
    }
    Ok(component)
}

/// Returns the names of a component's imports, with versions.
///
/// # Errors
///
/// [`BuildStep::Componentize`] if the bytes are not a component.
pub fn imports(component: &[u8]) -> Result<Vec<String>, BuildError> {
    InterfaceNames::of(component).map(|names| names.imports)
}

/// Returns a component's imports, exports and types as WIT.
///
/// # Errors
///
/// [`BuildStep::Componentize`] if the bytes are not a component.
pub fn world(component: &[u8]) -> Result<String, BuildError> {
    let step = BuildStep::Componentize;
    let decoded = wit_component::decode(component).map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    let (resolve, main) = (decoded.resolve(), decoded.package());
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
    let mut printer = WitPrinter::default();
    printer.print(resolve, main, &others).map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    Ok(printer.output.to_string())
}

struct InterfaceNames {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl InterfaceNames {
    fn of(component: &[u8]) -> Result<Self, BuildError> {
        let invalid = |error| BuildError::invalid(BuildStep::Componentize, error);
        let mut names = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(invalid)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        names.imports.push(import.map_err(invalid)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        names.exports.push(export.map_err(invalid)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

fn unversioned(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}
