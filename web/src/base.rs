//! Where the site stands: it may live under any path of any host. The page's `<base>` says so, and
//! links in views are written relative to it (`href="course"`).

/// The base as a URL that ends in a slash.
pub(crate) fn url() -> String {
    let base = web_sys::window()
        .and_then(|w| w.document())
        .and_then(|d| d.base_uri().ok()?);
    let base = base.unwrap_or_else(|| "/".to_owned());
    let end = base.find(['?', '#']).unwrap_or(base.len());
    let end = base[..end].rfind('/').map_or(end, |slash| slash + 1);
    base[..end].to_owned()
}

/// The base's path without its last slash: what the router takes. Empty at the root.
pub(crate) fn path() -> String {
    let url = url();
    let after_host = url.find("://").map_or(0, |n| n + 3);
    let path = url[after_host..]
        .find('/')
        .map_or("", |n| &url[after_host + n..]);
    path.trim_end_matches('/').to_owned()
}
