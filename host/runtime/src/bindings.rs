//! The bindings of the world `report-guest`, generated onto our own types; everything else meets the guest's functions through them.
//!
//! For an interface that is mapped to a module of ours, the generator expects there what it would have made itself: the types, the traits `Host` and `HostWithStore`, and
//! `add_to_linker`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "report-guest",
    with: {
        "assay:report/types": crate::bindings::types,
        "assay:report/log": crate::bindings::log,
    },
});

/// `assay:report/types`: nothing to call.
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

/// `assay:report/log`, written by hand for one reason: the text is looked at where it lies in the guest's memory, so that only what is kept is copied.
pub mod log {
    use wasmtime::{
        StoreContextMut,
        component::{HasData, Linker, WasmStr},
    };

    use crate::{
        call::{Level, LogLine},
        log_capture::clean,
    };

    pub const NAME: &str = "assay:report/log@0.1.0";

    /// Who keeps the lines.
    pub trait Host {
        /// How many bytes of the next line are kept. None: the line is not; it is counted, unread.
        fn room(&mut self) -> Option<usize>;
        /// Keeps a line that there was room for.
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
        let emit = move |mut store: StoreContextMut<'_, T>, (level, text): (Level, WasmStr)| {
            let Some(max_bytes) = host(store.data_mut()).room() else { return Ok(()) };
            let message = clean(&text.to_str(&store)?, max_bytes);
            host(store.data_mut()).keep(LogLine { level, message });
            Ok(())
        };
        linker.instance(NAME)?.func_wrap("emit", emit)
    }
}
