//! What this program is and what it was built of.

/// `beadline 0.1.0`, and with `verbose` the commit and the libraries that matter.
pub fn version(verbose: bool) -> String {
    let mut text = format!("beadline {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        let commit = option_env!("BEADLINE_COMMIT").unwrap_or("unknown");
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let datafusion = crate::expressions::DATAFUSION_VERSION;
        text += &format!("commit {commit}\nbuild {profile}\narrow {}\ndatafusion {datafusion}\n", arrow::ARROW_VERSION);
    }
    text
}
