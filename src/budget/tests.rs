//! A simulated estate against the paces.
