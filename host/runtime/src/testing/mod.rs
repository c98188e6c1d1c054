//! Guests for tests.
