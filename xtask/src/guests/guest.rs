//! The guests of this repository: folder in `guest/`, file in `guest/dist`, and how each is made.

pub const GUESTS: [Guest; 5] = [
    Guest { name: GENERIC, file: "core/generic.wasm", made: Made::CoreModule },
    Guest { name: "meeting-v1", file: "meeting-v1.wasm", made: Made::Folder },
    Guest { name: "meeting-v2", file: "meeting-v2.wasm", made: Made::Component },
    Guest { name: "map-reduce", file: "examples/map-reduce.wasm", made: Made::Component },
    Guest { name: "repair", file: "examples/repair.wasm", made: Made::Component },
];
pub const GENERIC: &str = "generic";

pub struct Guest {
    pub name: &'static str,
    pub file: &'static str,
    pub made: Made,
}

/// How a guest is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Compiled, and left a core module, which hosts specialize.
    CoreModule,
    Component,
    /// Without code: injected into the generic guest.
    Folder,
}

impl Guest {
    /// Returns the packages that cargo compiles.
    pub fn packages() -> impl Iterator<Item = &'static str> {
        GUESTS.iter().filter(|guest| guest.made != Made::Folder).map(|guest| guest.name)
    }
}
