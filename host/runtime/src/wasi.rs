//! WASI 0.2 for guests that cannot be built without it, with nothing behind it; see docs/adr/0009.
//!
//! Every import of theirs is linked by name. A short list answers as an empty and unchanging world would: no variables, arguments, folders or terminals, clocks that stand still, the
//! same random numbers in each call, an output that nobody reads and an input that has ended. Everything else ends the call. None of it waits, so nothing is asynchronous and no
//! thread is held: a guest that wants to sleep is stopped where it asks for the alarm.

use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
        WasmList, types::ComponentItem,
    },
};

use crate::sandbox::State;

/// Where every call's random numbers begin. Any number would do.
const SEED: u64 = 0x6173_7361_795f_7631;
/// Most bytes of one request for random numbers; the host is not interrupted while it makes them.
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// Most handles of one call, given back or not. The table that the engine keeps of them is host memory.
const MAX_HANDLES: u32 = 1_000;
/// What an output says that it takes at once, in bytes.
const OUTPUT_ROOM: u64 = 64 << 10;

/// The guest asked for what it cannot have.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("WASI is denied")]
pub(crate) struct Denied;

/// What a call was given so far.
#[derive(Debug, Default)]
pub(crate) struct Given {
    randoms: u64,
    handles: u32,
}

impl Given {
    /// The next number of the sequence SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): each its own, and the same in every call.
    fn random(&mut self) -> u64 {
        self.randoms += 1;
        let mut number = SEED.wrapping_add(self.randoms.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn random_bytes(&mut self, len: u64) -> Result<Vec<u8>, Denied> {
        if len > MAX_RANDOM_BYTES {
            return Err(Denied);
        }
        let words = (0..len.div_ceil(8)).flat_map(|_| self.random().to_le_bytes());
        Ok(words.take(usize::try_from(len).map_err(|_| Denied)?).collect())
    }

    fn handle(&mut self) -> Result<Resource<Handle>, Denied> {
        self.handles += 1;
        if self.handles > MAX_HANDLES { Err(Denied) } else { Ok(Resource::new_own(0)) }
    }
}

/// Stands for every resource: there is nothing behind any of them.
enum Handle {}

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
    #[expect(dead_code, reason = "a case of the type that never happens here")]
    LastOperationFailed(Resource<Handle>),
    #[component(name = "closed")]
    Closed,
}

/// Links what `component` imports of WASI.
///
/// # Errors
/// The engine's, or an import that is no interface. A function of the list that the guest expects with another type shows when it is instantiated.
pub(crate) fn link(linker: &mut Linker<State>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine();
    for (name, import) in component.component_type().imports(engine) {
        if !name.starts_with("wasi:") {
            continue;
        }
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            return Err(Denied.into());
        };
        let mut instance = linker.instance(name)?;
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => Import { name, item }.link(&mut instance)?,
                ComponentItem::Resource(_) => instance.resource(item, ResourceType::host::<Handle>(), |_, _| Ok(()))?,
                ComponentItem::Type(_) => {}
                _ => return Err(Denied.into()),
            }
        }
    }
    Ok(())
}

/// A function of an interface, `name`, as the guest imports it.
struct Import<'a> {
    name: &'a str,
    item: &'a str,
}

impl Import<'_> {
    fn link(&self, to: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
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
                self.answer(to, |_, _: (Resource<Handle>,)| Ok(Ok::<_, StreamError>(OUTPUT_ROOM)))
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

            // Its arguments are read before it is asked; the output limit bounds what that takes.
            _ => to.func_new(self.item, |_, _, _, _| Err(Denied.into())),
        }
    }

    fn answer<Params, Return>(
        &self,
        to: &mut LinkerInstance<'_, State>,
        answer: impl Fn(&mut Given, Params) -> Result<Return, Denied> + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        Params: ComponentNamedList + Lift + 'static,
        Return: Lower + Send + Sync + 'static,
        (Return,): ComponentNamedList + Lower,
    {
        to.func_wrap(self.item, move |mut store: StoreContextMut<'_, State>, params: Params| {
            Ok((answer(&mut store.data_mut().wasi, params)?,))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ_within_a_call_and_not_between_calls() {
        let numbers = || {
            let mut given = Given::default();
            [given.random(), given.random(), given.random()]
        };
        let [first, second, third] = numbers();
        assert!(first != second && second != third && first != third);
        assert_eq!(numbers(), [first, second, third]);
    }

    #[test]
    fn random_bytes_are_as_many_as_asked_for_up_to_a_bound() {
        let bytes = |len| Given::default().random_bytes(len).map(|bytes| bytes.len());
        assert!(matches!((bytes(0), bytes(13)), (Ok(0), Ok(13))));
        assert!(bytes(MAX_RANDOM_BYTES).is_ok() && bytes(MAX_RANDOM_BYTES + 1).is_err());
    }
}
