//! The course compiler.
