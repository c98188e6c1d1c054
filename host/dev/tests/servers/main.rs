//! The embedded servers over their wire, as a worker sees them.

mod postgres;
mod samples;
mod schemas;
mod stand_in;
