//! Any text as the fragment of a link: reading it never panics, and what is read can be linked to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim_core::run::Recipe;

fuzz_target!(|text: &str| {
    if let Ok(opened) = Recipe::from_fragment(text) {
        let again = opened
            .recipe
            .to_fragment(opened.digest)
            .expect("it came from a link");
        let read = Recipe::from_fragment(&again).expect("it was just made");
        assert_eq!(read, opened);
    }
});
