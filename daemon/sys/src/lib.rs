//! The few system calls that need unsafe. Empty until the first one lands.
