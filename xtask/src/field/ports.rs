//! Free ports for a script.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// The most that one script uses.
const PORTS: u16 = 10;
/// Below those that the system gives to clients.
const FIRST: u16 = 26100;
const LAST: u16 = 31900;

/// Returns the first of [`PORTS`] ports in a row that are free on loopback.
pub fn free_block() -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut blocks = (FIRST..LAST).step_by(usize::from(PORTS));
    blocks.find(|first| (*first..first + PORTS).all(is_free)).context("no ten free ports in a row on loopback")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_a_taken_port_is_left_out() {
        let first = free_block().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 3));
        // Another process may have taken it.
        if taken.is_ok() {
            assert_ne!(free_block().unwrap(), first);
        }
    }
}
