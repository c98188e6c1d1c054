//! The bindings of the world `report-guest`, generated onto our own types.
//!
//! For an interface that is mapped to our module, the generator expects the items that it would make: the types, the traits `Host`
//! and `HostWithStore`, and `add_to_linker`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "report-guest",
    with: {
        "assay:report/types": crate::bindings::types,
        "assay:report/log": crate::bindings::log,
    },
});

/// `assay:report/types`, without functions.
pub mod types {
    use wasmtime::component::{HasData, Linker};

    pub use crate::contract::{Answer, Finding, Manifest, Step, Transcript};

    pub trait Host {}
    pub trait HostWithStore<T>: HasData {}
    impl<T, D: HasData> HostWithStore<T> for D {}

    pub fn add_to_linker<T, D>(_: &mut Linker<T>, _: fn(&mut T) -> D::Data<'_>) -> wasmtime::Result<()>
    where
        D: HostWithStore<T>,
        for<'a> D::Data<'a>: Host,
    {
        Ok(())
    }
}

/// `assay:report/log`, written by hand: it reads the text in the guest's memory and copies only the part that is kept.
pub mod log {
    use wasmtime::{
        StoreContextMut,
        component::{HasData, Linker, WasmStr},
    };

    use crate::{
        call::{LogLevel, LogLine},
        log_capture::clean,
    };

    pub const NAME: &str = "assay:report/log@0.1.0";

    /// Keeps the lines.
    pub trait Host {
        /// Returns how many bytes of the next line are kept. `None` drops the line, unread, and counts it.
        fn room(&mut self) -> Option<usize>;
        fn keep(&mut self, line: LogLine);
    }
    pub trait HostWithStore<T>: HasData {}
    impl<T, D: HasData> HostWithStore<T> for D {}

    pub fn add_to_linker<T, D>(linker: &mut Linker<T>, host: fn(&mut T) -> D::Data<'_>) -> wasmtime::Result<()>
    where
        T: 'static,
        D: HostWithStore<T>,
        for<'a> D::Data<'a>: Host,
    {
        let emit = move |mut store: StoreContextMut<'_, T>, (level, text): (LogLevel, WasmStr)| {
            let Some(max_bytes) = host(store.data_mut()).room() else { return Ok(()) };
            let message = clean(&text.to_str(&store)?, max_bytes);
            host(store.data_mut()).keep(LogLine { level, message });
            Ok(())
        };
        linker.instance(NAME)?.func_wrap("emit", emit)
    }
}
