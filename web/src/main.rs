//! The site: mounts the Leptos application into the page.
//!
//! Only the entry point stands here so far: the panic hook, one heading, and the removal of the
//! loading panel that `index.html` shows until the module runs.

pub mod stage;

use leptos::prelude::*;

/// The whole page.
#[component]
fn App() -> impl IntoView {
    view! {
        <main id="main">
            <h1>"Strandline"</h1>
            <p>"Learn streaming systems by breaking them."</p>
        </main>
    }
}

fn main() {
    console_error_panic_hook::set_once();
    mount_to_body(App);
}
