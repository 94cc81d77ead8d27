//! The deterministic engine.
