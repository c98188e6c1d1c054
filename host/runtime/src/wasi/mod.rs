//! WASI 0.2 for guests that cannot be built without it, with nothing behind it; see docs/adr/0009.
//!
//! Every WASI import of a guest is linked by name. A short list answers like an empty, unchanging world: no variables, arguments,
//! folders or terminals, clocks that stand still, the same random numbers in each call, output that is dropped, input that has
//! ended. Every other function ends the call. No function waits, so none holds a thread: a guest that wants to sleep stops at its
//! request for an alarm.

pub(crate) mod given;
pub(crate) mod link;
