//! Guests that misbehave, each in a real worker beside one that behaves: the worker names what happened by its code, the
//! neighbour's jobs succeed at their first attempt, no lease is lost, and the worker ends cleanly.
//!
//! One module per kind of misdeed. Most tests are a line of a table (`cases`); README.md beside this file lists them all, and
//! `catalogue` holds it to the tests.

#[macro_use]
mod cases;
mod stage;

mod asking;
mod building;
mod catalogue;
mod describing;
mod loading;
mod logging;
mod memory;
mod output;
mod replaying;
mod reports;
mod schemas;
mod spinning;
mod trapping;
