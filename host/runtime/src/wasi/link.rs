//! Links a guest's imports of WASI.

use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
        WasmList, types::ComponentItem,
    },
};

use crate::{
    call_state::CallState,
    wasi::given::{Handle, WasiDenied, WasiGiven},
};

/// Bytes that an output accepts at once.
const OUTPUT_CAPACITY_BYTES: u64 = 64 << 10;

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    #[component(name = "seconds")]
    seconds: u64,
    #[component(name = "nanoseconds")]
    nanoseconds: u32,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "a case of the type that this host never returns")]
    LastOperationFailed(Resource<Handle>),
    #[component(name = "closed")]
    Closed,
}

/// Links the WASI imports of `component`.
///
/// # Errors
/// The engine's, or an import that is not an interface. A function that the guest expects with another type fails at instantiation.
pub(crate) fn link(linker: &mut Linker<CallState>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (name, import) in component.component_type().imports(engine) {
        if !name.starts_with("wasi:") {
            continue;
        }
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            return Err(WasiDenied.into());
        };
        let mut instance = linker.instance(name)?;
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => WasiImport { name, item }.link(&mut instance)?,
                ComponentItem::Resource(_) => instance.resource(item, ResourceType::host::<Handle>(), |_, _| Ok(()))?,
                ComponentItem::Type(_) => {}
                _ => return Err(WasiDenied.into()),
            }
        }
    }
    Ok(())
}

/// A function `item` of the interface `name`, as the guest imports it.
struct WasiImport<'a> {
    name: &'a str,
    item: &'a str,
}

impl WasiImport<'_> {
    fn link(&self, to: &mut LinkerInstance<'_, CallState>) -> wasmtime::Result<()> {
        // Other versions have other types under the same names.
        let interface = match self.name.split_once('@') {
            Some((interface, version)) if version.starts_with("0.2.") => interface,
            _ => "",
        };
        match (interface, self.item) {
            ("wasi:cli/environment", "get-environment") => self.answer(to, |_, ()| Ok(Vec::<(String, String)>::new())),
            ("wasi:cli/environment", "get-arguments") => self.answer(to, |_, ()| Ok(Vec::<String>::new())),
            ("wasi:cli/environment", "initial-cwd") => self.answer(to, |_, ()| Ok(None::<String>)),

            ("wasi:cli/stdin", "get-stdin") | ("wasi:cli/stdout", "get-stdout") | ("wasi:cli/stderr", "get-stderr") => {
                self.answer(to, |given, ()| given.handle())
            }
            ("wasi:cli/terminal-stdin", "get-terminal-stdin")
            | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
            | ("wasi:cli/terminal-stderr", "get-terminal-stderr") => {
                self.answer(to, |_, ()| Ok(None::<Resource<Handle>>))
            }
            ("wasi:io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => {
                self.answer(to, |_, _: (Resource<Handle>, WasmList<u8>)| Ok(Ok::<_, StreamError>(())))
            }
            ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
                self.answer(to, |_, _: (Resource<Handle>,)| Ok(Ok::<_, StreamError>(())))
            }
            ("wasi:io/streams", "[method]output-stream.check-write") => {
                self.answer(to, |_, _: (Resource<Handle>,)| Ok(Ok::<_, StreamError>(OUTPUT_CAPACITY_BYTES)))
            }
            ("wasi:io/streams", "[method]input-stream.read" | "[method]input-stream.blocking-read") => {
                self.answer(to, |_, _: (Resource<Handle>, u64)| Ok(Err::<Vec<u8>, _>(StreamError::Closed)))
            }
            ("wasi:io/streams", "[method]input-stream.skip" | "[method]input-stream.blocking-skip") => {
                self.answer(to, |_, _: (Resource<Handle>, u64)| Ok(Err::<u64, _>(StreamError::Closed)))
            }

            ("wasi:filesystem/preopens", "get-directories") => {
                self.answer(to, |_, ()| Ok(Vec::<(Resource<Handle>, String)>::new()))
            }

            ("wasi:clocks/monotonic-clock", "now") => self.answer(to, |_, ()| Ok(0_u64)),
            ("wasi:clocks/monotonic-clock", "resolution") => self.answer(to, |_, ()| Ok(1_u64)),
            ("wasi:clocks/wall-clock", "now") => self.answer(to, |_, ()| Ok(Datetime { seconds: 0, nanoseconds: 0 })),
            ("wasi:clocks/wall-clock", "resolution") => {
                self.answer(to, |_, ()| Ok(Datetime { seconds: 0, nanoseconds: 1 }))
            }

            ("wasi:random/random", "get-random-bytes") | ("wasi:random/insecure", "get-insecure-random-bytes") => {
                self.answer(to, |given, (len,): (u64,)| given.random_bytes(len))
            }
            ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
                self.answer(to, |given, ()| Ok(given.random()))
            }
            ("wasi:random/insecure-seed", "insecure-seed") => {
                self.answer(to, |given, ()| Ok((given.random(), given.random())))
            }

            // The arguments are read before the call; the output limit bounds them.
            _ => to.func_new(self.item, |_, _, _, _| Err(WasiDenied.into())),
        }
    }

    fn answer<Params, Return>(
        &self,
        to: &mut LinkerInstance<'_, CallState>,
        answer: impl Fn(&mut WasiGiven, Params) -> Result<Return, WasiDenied> + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        Params: ComponentNamedList + Lift + 'static,
        Return: Lower + Send + Sync + 'static,
        (Return,): ComponentNamedList + Lower,
    {
        to.func_wrap(self.item, move |mut store: StoreContextMut<'_, CallState>, params: Params| {
            Ok((answer(&mut store.data_mut().wasi, params)?,))
        })
    }
}
