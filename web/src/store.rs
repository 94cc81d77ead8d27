//! What is kept in the browser between visits: the theme, the work on each page, predictions.
//!
//! Keys carry the project's name, since several sites may share an origin. Storage can be full or
//! forbidden; then the caller is told, so that the learner can be offered a file instead.

const PREFIX: &str = "strandline.";

/// Why something could not be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoreProblem {
    /// The browser gives no storage to this page.
    Forbidden,
    /// The browser's storage for this site is full.
    Full,
}

impl StoreProblem {
    /// What to tell the learner.
    pub(crate) fn text(self) -> &'static str {
        match self {
            StoreProblem::Forbidden => {
                "Your browser keeps nothing for this site, so this run will be gone when you leave."
            }
            StoreProblem::Full => {
                "Your browser's storage for this site is full, so this run could not be kept."
            }
        }
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// Keeps `value` under `key`.
pub(crate) fn keep(key: &str, value: &str) -> Result<(), StoreProblem> {
    let storage = storage().ok_or(StoreProblem::Forbidden)?;
    storage
        .set_item(&format!("{PREFIX}{key}"), value)
        .map_err(|_| StoreProblem::Full)
}

/// What was kept under `key`.
pub(crate) fn kept(key: &str) -> Option<String> {
    storage()?.get_item(&format!("{PREFIX}{key}")).ok()?
}

/// Forgets what was kept under `key`.
pub(crate) fn forget(key: &str) {
    if let Some(storage) = storage() {
        // Removing a key that is not there is no error; nothing else can go wrong here.
        let _ = storage.remove_item(&format!("{PREFIX}{key}"));
    }
}
