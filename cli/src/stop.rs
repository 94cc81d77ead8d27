//! A clean end on SIGINT or SIGTERM: commands look here now and then and finish with what they have.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// Begins to listen. A second signal ends the process at once.
pub(crate) fn listen() {
    // Without a handler the default (die at once) stays; nothing else depends on it.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping: printing what was found so far (press again to end at once)");
    });
}

/// Whether to finish now.
pub(crate) fn wanted() -> bool {
    STOP.load(Ordering::Relaxed)
}
