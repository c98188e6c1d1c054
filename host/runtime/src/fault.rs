//! Why a guest call gave no value: a closed list without a word of the guest.
//!
//! The engine's errors can quote a guest (names in backtraces, texts in messages). `classify` reads their kind and drops them.

use std::str::Utf8Error;

use assay_core::{code::Code, job_error::JobError};
use wasmtime::Trap;

use crate::meter::LimitExceeded;

/// Why a call failed. Every variant but the last two is the guest's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// It ran longer than `Limits::call`. Wall-clock time: a busy machine can be the cause.
    #[error("run the guest: it exceeded its time limit")]
    Timeout,
    /// It used up its fuel. Metered runs only; the same input always gives the same result.
    #[error("run the guest: it exceeded its fuel")]
    OutOfFuel,
    /// It asked for more memory than `Limits::memory_bytes`.
    #[error("run the guest: it exceeded its memory limit")]
    OutOfMemory,
    /// It asked for more table elements than `Limits::table_elements`.
    #[error("run the guest: it exceeded its table limit")]
    OutOfTable,
    /// It recursed past `Limits::stack_bytes`.
    #[error("run the guest: it exceeded its stack limit")]
    StackOverflow,
    /// It trapped. The text names the trap: `unreachable`, `memory_out_of_bounds`.
    #[error("run the guest: it trapped ({0})")]
    Trap(&'static str),
    /// It returned more than `Limits::output_bytes` or `Limits::output_records`.
    #[error("read the guest's result: it exceeds the output limit")]
    OutputTooLarge,
    /// Its value breaks the contract. The text names the rule: `role`, `utf-8`, `abi`.
    #[error("read the guest's result: it breaks the contract ({0})")]
    BadOutput(&'static str),
    /// The host had too little memory to start the call, or is stopping. No guest code ran.
    #[error("start the guest: the host has no room for it")]
    Unavailable,
    /// The host panicked in the call.
    #[error("run the guest: the host panicked")]
    HostPanic,
}

impl From<Fault> for JobError {
    fn from(fault: Fault) -> Self {
        let code = match fault {
            // Wall-clock time: the same call may pass on a less busy machine.
            Fault::Timeout => Code::GuestTimeout,
            Fault::OutOfMemory | Fault::OutOfTable => Code::GuestOutOfMemory,
            Fault::StackOverflow | Fault::Trap(_) | Fault::OutOfFuel | Fault::HostPanic => Code::GuestTrap,
            Fault::OutputTooLarge | Fault::BadOutput(_) => Code::GuestBadOutput,
            // The release is not at fault: the worker is stopping or short of memory.
            Fault::Unavailable => Code::GuestLoadFailed,
        };
        Self::new(code, format!("run the guest: {}", fault.code())).caused_by(fault)
    }
}

impl Fault {
    /// Returns a stable name for metrics and records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "guest_timeout",
            Self::OutOfFuel => "guest_out_of_fuel",
            Self::OutOfMemory => "guest_out_of_memory",
            Self::OutOfTable => "guest_out_of_table",
            Self::StackOverflow => "guest_stack_overflow",
            Self::Trap(_) => "guest_trap",
            Self::OutputTooLarge => "guest_output_too_large",
            Self::BadOutput(_) => "guest_bad_output",
            Self::Unavailable => "guest_unavailable",
            Self::HostPanic => "guest_host_panic",
        }
    }
}

/// How far a call was when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStage {
    Instantiate,
    /// Runs an export and reads its result.
    Call,
}

/// Classifies an error of the engine.
///
/// Our own limits come first, then traps, then texts that are not UTF-8. Any other error of an instantiation is a shortage of the
/// host. Any other error of a call is the canonical ABI's (bad pointers, bad discriminants), which has a text only.
pub(crate) fn classify(error: &wasmtime::Error, stage: CallStage) -> Fault {
    if let Some(exceeded) = error.downcast_ref::<LimitExceeded>() {
        return match exceeded {
            LimitExceeded::Memory => Fault::OutOfMemory,
            LimitExceeded::Table => Fault::OutOfTable,
        };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap);
    }
    if error.is::<Utf8Error>() || error.is::<std::char::DecodeUtf16Error>() {
        return Fault::BadOutput("utf-8");
    }
    #[cfg(feature = "wasi")]
    if error.is::<crate::wasi::given::WasiDenied>() {
        return Fault::Trap("wasi_denied");
    }
    if is_hostcall_fuel(error) {
        return Fault::OutputTooLarge;
    }
    if is_unknown_handle(error) {
        return Fault::Trap("unknown_handle");
    }
    match stage {
        CallStage::Instantiate => Fault::Unavailable,
        CallStage::Call => Fault::BadOutput("abi"),
    }
}

/// The engine's error for too much output is a private type, so its text decides. Tests fail if the engine changes the text.
fn is_hostcall_fuel(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

/// Recognizes a handle that the guest never had or already dropped: a misuse of its imports, not a bad value. By its text, as above.
fn is_unknown_handle(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("unknown handle index")
}

/// Names every trap of wasmtime 48. A test iterates over all of them: an update cannot add one unseen.
fn of_trap(trap: Trap) -> Fault {
    Fault::Trap(match trap {
        Trap::Interrupt => return Fault::Timeout,
        Trap::OutOfFuel => return Fault::OutOfFuel,
        Trap::StackOverflow => return Fault::StackOverflow,
        Trap::AllocationTooLarge => return Fault::OutOfMemory,
        Trap::StringOutOfBounds => return Fault::BadOutput("string_out_of_bounds"),
        Trap::ListOutOfBounds => return Fault::BadOutput("list_out_of_bounds"),
        Trap::InvalidChar => return Fault::BadOutput("char"),
        Trap::InvalidDiscriminant => return Fault::BadOutput("discriminant"),
        Trap::UnalignedPointer => return Fault::BadOutput("unaligned"),
        Trap::MemoryOutOfBounds => "memory_out_of_bounds",
        Trap::HeapMisaligned => "heap_misaligned",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "bad_signature",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "integer_division_by_zero",
        Trap::BadConversionToInteger => "bad_conversion_to_integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::NullReference => "null_reference",
        Trap::ArrayOutOfBounds => "array_out_of_bounds",
        Trap::CastFailure => "cast_failure",
        Trap::CannotEnterComponent => "cannot_enter_component",
        Trap::CannotLeaveComponent => "cannot_leave_component",
        Trap::UncaughtException => "uncaught_exception",
        // Features that the engine is built without, and its own assertions: listed to be complete.
        Trap::AtomicWaitNonSharedMemory
        | Trap::UnhandledTag
        | Trap::ContinuationAlreadyConsumed
        | Trap::DisabledOpcode
        | Trap::NoAsyncResult
        | Trap::AsyncDeadlock
        | Trap::CannotBlockSyncTask
        | Trap::TaskCancelNotCancelled
        | Trap::TaskCancelOrReturnTwice
        | Trap::SubtaskCancelAfterTerminal
        | Trap::TaskReturnInvalid
        | Trap::WaitableSetDropHasWaiters
        | Trap::SubtaskDropNotResolved
        | Trap::ThreadNewIndirectInvalidType
        | Trap::ThreadNewIndirectUninitialized
        | Trap::BackpressureOverflow
        | Trap::UnsupportedCallbackCode
        | Trap::CannotResumeThread
        | Trap::ConcurrentFutureStreamOp
        | Trap::ReferenceCountOverflow
        | Trap::StreamOpTooBig
        | Trap::WaitableSyncAndAsync => "unsupported_feature",
        Trap::DebugAssertStringEncodingFinished
        | Trap::DebugAssertEqualCodeUnits
        | Trap::DebugAssertPointerAligned
        | Trap::DebugAssertUpperBitsUnset => "engine_assertion",
        _ => UNKNOWN_TRAP,
    })
}

const UNKNOWN_TRAP: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trap_of_the_engine_has_a_name() {
        let traps: Vec<Trap> = (0..=u8::MAX).filter_map(Trap::from_u8).collect();
        assert!(traps.len() > 20, "the engine lists its traps");
        let unnamed: Vec<Trap> = traps.into_iter().filter(|trap| of_trap(*trap) == Fault::Trap(UNKNOWN_TRAP)).collect();
        assert_eq!(unnamed, []);
    }

    #[test]
    fn an_error_of_the_abi_is_classified_by_the_stage_of_the_call() {
        let error = wasmtime::Error::msg("pointer out of bounds of memory");
        assert_eq!(classify(&error, CallStage::Call), Fault::BadOutput("abi"));
        assert_eq!(classify(&error, CallStage::Instantiate), Fault::Unavailable);
    }
}
