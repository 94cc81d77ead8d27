//! The application, which is loaded after the home page has begun to run (see [`crate::hero`]).
//!
//! [`app`] is the border. In a release the build cuts the module there in two
//! (`xtask/src/dist/split.rs`), and the first call of [`app`] loads the second half: Leptos, and
//! everything made with it. Nothing in the first half may name what should lie in the second: it
//! gets there through [`App`] alone. In a development build there is one module, and the call is a
//! plain one.

/// The application of the second half.
#[derive(Clone, Copy)]
pub(crate) struct App {
    /// Puts it into the page, beside what is there.
    pub(crate) mount: fn(),
}

/// The second half could not be loaded. The browser's console has the cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotLoaded;

#[cfg(split)]
impl From<leptos::wasm_split::SplitLoaderError> for NotLoaded {
    fn from(_: leptos::wasm_split::SplitLoaderError) -> Self {
        NotLoaded
    }
}

#[cfg(split)]
#[leptos::wasm_split::wasm_split(app, wasm_split_path = leptos::wasm_split, fallible)]
pub(crate) fn app() -> Result<App, NotLoaded> {
    Ok(App {
        mount: crate::app::mount,
    })
}

/// Loads the application.
#[cfg(not(split))]
pub(crate) async fn app() -> Result<App, NotLoaded> {
    Ok(App {
        mount: crate::app::mount,
    })
}
