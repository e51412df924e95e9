//! The running state of soaks against folding everything anew, and what the evidence log makes of it.
