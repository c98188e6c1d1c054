//! From a core module to a component, and what the component may ask for.

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, WitPrinter};

use super::error::{BuildError, Reason, Step};

/// The interfaces that a guest may import, without their versions.
const ALLOWED_IMPORTS: [&str; 2] = ["assay:report/log", "assay:report/types"];
const EXPORT: &str = "assay:report/guest";

/// Makes a core module a validated component. No adapter is at hand, so an import of WASI is an error here.
///
/// # Errors
///
/// [`Step::Componentize`] for a module without the world's exports, [`Step::Imports`] for one that asks for more than
/// `assay:report/log` and the function-free `assay:report/types`.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let step = Step::Componentize;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    let names = Names::of(&component)?;
    if let Some(foreign) = names.imports.iter().find(|name| !ALLOWED_IMPORTS.contains(&unversioned(name))) {
        return Err(BuildError::new(Step::Imports, Reason::ForeignImport(foreign.clone())));
    }
    if !names.exports.iter().any(|name| unversioned(name) == EXPORT) {
        return Err(BuildError::new(step, Reason::MissingExport(EXPORT)));
    }
    Ok(component)
}

/// The names of a component's imports, as they are written in it, versions included.
///
/// # Errors
///
/// [`Step::Componentize`] where the bytes are no component.
pub fn imports(component: &[u8]) -> Result<Vec<String>, BuildError> {
    Names::of(component).map(|names| names.imports)
}

/// What a component imports and exports, with its types, as WIT.
///
/// # Errors
///
/// [`Step::Componentize`] where the bytes are no component.
pub fn world(component: &[u8]) -> Result<String, BuildError> {
    let step = Step::Componentize;
    let decoded = wit_component::decode(component).map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    let (resolve, main) = (decoded.resolve(), decoded.package());
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
    let mut printer = WitPrinter::default();
    printer.print(resolve, main, &others).map_err(|error| BuildError::invalid(step, error.root_cause()))?;
    Ok(printer.output.to_string())
}

struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    fn of(component: &[u8]) -> Result<Self, BuildError> {
        let invalid = |error| BuildError::invalid(Step::Componentize, error);
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
