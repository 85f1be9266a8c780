//! The test support and the tests from outside. Empty until the daemon can serve.
