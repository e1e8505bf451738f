//! Simulated providers in every dialect, with faults.
