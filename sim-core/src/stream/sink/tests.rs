//! Tests of sink writers.
