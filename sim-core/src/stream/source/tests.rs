//! Tests of source readers.
