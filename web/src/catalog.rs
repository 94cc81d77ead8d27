//! What the site has on offer: lessons and scenario files. Their texts are files of the site,
//! fetched when a page wants them, so that the course can grow without the application growing.

use serde::Deserialize;

use crate::files;

/// A scenario file of the site.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct ScenarioEntry {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its title.
    pub(crate) title: String,
    /// What it shows, in a sentence or two.
    #[serde(default)]
    pub(crate) summary: String,
    /// The lesson it belongs to, if it does.
    #[serde(default)]
    pub(crate) lesson: Option<String>,
    /// Where its text is, below the site's base.
    pub(crate) file: String,
}

/// A lesson of the course.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct LessonEntry {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its title.
    pub(crate) title: String,
    /// What it is about.
    #[serde(default)]
    pub(crate) summary: String,
    /// The part of the course it belongs to.
    #[serde(default)]
    pub(crate) part: String,
    /// How long it takes, minutes.
    #[serde(default)]
    pub(crate) minutes: u32,
    /// Claims that the build has executed.
    #[serde(default)]
    pub(crate) claims: u32,
    /// Predictions it asks for.
    #[serde(default)]
    pub(crate) predictions: u32,
}

/// The lessons, in their order.
pub(crate) async fn lessons() -> Result<Vec<LessonEntry>, String> {
    read("lessons/index.json").await
}

/// The scenario files.
pub(crate) async fn scenarios() -> Result<Vec<ScenarioEntry>, String> {
    read("scenarios/index.json").await
}

/// One scenario with its text.
pub(crate) async fn scenario(slug: String) -> Result<(ScenarioEntry, String), String> {
    let all = scenarios().await?;
    let entry = all.into_iter().find(|s| s.slug == slug);
    let entry = entry.ok_or_else(|| format!("There is no scenario named “{slug}”."))?;
    let text = files::fetch_text(&entry.file).await?;
    Ok((entry, text))
}

async fn read<T: serde::de::DeserializeOwned>(path: &str) -> Result<T, String> {
    let text = files::fetch_text(path).await?;
    serde_json::from_str(&text).map_err(|e| format!("{path} is not what it should be: {e}"))
}
