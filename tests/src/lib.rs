//! Support for the whole-library tests.
