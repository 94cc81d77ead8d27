//! Compression of what tasks send: it pays as long as the link is slower than the codec.

mod support;

use support::{holds, told};

const NARROW: &str = include_str!("../../scenarios/job-compression-narrow.toml");
const WIDE: &str = include_str!("../../scenarios/job-compression-wide.toml");

#[test]
fn compression_wins_at_a_narrow_link_and_loses_at_a_wide_one() {
    holds("narrow", NARROW);
    holds("wide", WIDE);
    let with = |name: &str, text: &str, codec: &str, expect: &[&str]| {
        let end = text.find("[[caption]]").expect("captions");
        told(name, &text[..end], &[("\"LZ4\"", codec)], expect);
    };
    let plain = "\"NONE\"";
    with(
        "narrow, plain",
        NARROW,
        plain,
        &[
            "job.status == RUNNING and out.records-in < 11_000 @ 3600ms",
            "job.status == RUNNING @ 5500ms",
            "job.status == FINISHED and images.busy < 1ms @ 6500ms",
        ],
    );
    with(
        "wide, plain",
        WIDE,
        plain,
        &["job.status == FINISHED @ 1700ms"],
    );
    // Smaller still, and slower.
    let zstd = "\"ZSTD\"";
    with(
        "narrow, zstd",
        NARROW,
        zstd,
        &["job.status == FINISHED @ 3100ms"],
    );
    with(
        "wide, zstd",
        WIDE,
        zstd,
        &["job.status == RUNNING @ 2100ms", "job.status == FINISHED"],
    );
}
