//! Configuration: as typed, then resolved, with all faults reported at once.
