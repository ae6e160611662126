//! The `apt:` block of a repository's configuration.

use chantal_contract::{FormatError, RepoPath};
use serde::{Deserialize, Serialize};

use crate::suite::Suite;

/// What of an APT repository is mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the configuration")]
pub struct AptOptions {
    /// The suites, as clients name them: `bookworm`, `bookworm-updates`. That of a flat repository is its directory and ends in
    /// `/`: `./`, `stable/`.
    pub suites: Vec<String>,
    /// The components, such as `main`. A flat repository has none.
    #[serde(default)]
    pub components: Vec<String>,
    /// The architectures, as dpkg names them: `amd64`, `arm64`. Packages for `all` come with each of them.
    pub architectures: Vec<String>,
    /// The languages that descriptions are mirrored in: `en`, `de`, `pt_BR`. An empty list means none.
    #[serde(default = "english")]
    pub languages: Vec<String>,
    /// Whether the lists of every package's files are mirrored, which `apt-file` asks for.
    #[serde(default)]
    pub contents: bool,
    /// Whether source packages are mirrored, which `apt-get source` asks for.
    #[serde(default)]
    pub sources: bool,
    /// Whether the installer's own packages (`.udeb`) are mirrored.
    #[serde(default)]
    pub udebs: bool,
    /// Whether the current installer's images (netboot, CD) are mirrored.
    #[serde(default)]
    pub installer: bool,
    /// Whether the catalogue of applications with its icons (DEP-11) is mirrored, which software centres ask for.
    #[serde(default = "yes")]
    pub dep11: bool,
    /// Whether the lists of commands are mirrored, which Ubuntu's `command-not-found` asks for.
    #[serde(default = "yes")]
    pub command_not_found: bool,
    /// Which compressions of each index are mirrored.
    #[serde(default)]
    pub compressions: Compressions,
}

/// Which compressions of one index are mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compressions {
    /// The best that upstream has: xz, else zst, gz, bz2 or none.
    #[default]
    Best,
    /// Every one that upstream has.
    All,
}

fn english() -> Vec<String> {
    vec!["en".into()]
}

const fn yes() -> bool {
    true
}

impl AptOptions {
    /// Checks what types cannot say; names the option that cannot be honoured.
    pub fn check(&self) -> Result<(), FormatError> {
        self.to_suites().map(drop)
    }

    /// Checks the options and returns the suites they name.
    pub(crate) fn to_suites(&self) -> Result<Vec<Suite>, FormatError> {
        check_list("suites", &self.suites, 1, |name| {
            Suite::new(name).map(drop).map_err(|error| error.to_string())
        })?;
        check_list("architectures", &self.architectures, 1, |name| match name {
            "source" => Err("`source` is no architecture; `sources: true` mirrors source packages".into()),
            _ if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') => Ok(()),
            _ => Err("an architecture is lower-case letters, digits and `-`".into()),
        })?;
        check_list("languages", &self.languages, 0, |name| match name {
            "none" => Err("an empty list means none: `languages: []`".into()),
            _ if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_@-".contains(&b)) => Ok(()),
            _ => Err("a language is a code such as `en`, `pt_BR` or `sr@latin`".into()),
        })?;
        let suites: Vec<_> = self.suites.iter().filter_map(|name| Suite::new(name).ok()).collect();
        for (at, suite) in suites.iter().enumerate() {
            if let Some(same) = suites.iter().take(at).find(|earlier| earlier.is_at(suite)) {
                return Err(refuse("suites", &format!("`{same}` and `{suite}` are one directory")));
            }
        }
        let flat = suites.iter().filter(|suite| suite.flat).count();
        if flat > 0 && flat < suites.len() {
            return Err(refuse("suites", "a flat suite (one that ends in `/`) cannot stand beside others"));
        }
        if flat > 0 && !self.components.is_empty() {
            return Err(refuse("components", "a flat suite (one that ends in `/`) has none"));
        }
        let fewest = usize::from(flat == 0);
        check_list("components", &self.components, fewest, |name| match RepoPath::new(name) {
            Ok(_) if name.contains(|c: char| c.is_ascii_whitespace()) => Err("it holds a blank".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        })?;
        Ok(suites)
    }
}

fn check_list(
    option: &str,
    values: &[String],
    fewest: usize,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<(), FormatError> {
    if values.len() < fewest {
        return Err(refuse(option, "at least one is needed"));
    }
    for (at, value) in values.iter().enumerate() {
        if value.is_empty() {
            return Err(refuse(option, "one of them is empty"));
        }
        check(value).map_err(|why| refuse(option, &format!("`{}`: {why}", value.escape_debug())))?;
        if values.iter().take(at).any(|earlier| earlier == value) {
            return Err(refuse(option, &format!("`{value}` stands there twice")));
        }
    }
    Ok(())
}

fn refuse(option: &str, why: &str) -> FormatError {
    FormatError::Option { option: format!("apt.{option}"), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: serde_json::Value) -> Result<(), String> {
        let options: AptOptions = serde_json::from_value(value).map_err(|e| e.to_string())?;
        options.check().map_err(|e| e.to_string())
    }

    #[test]
    fn fills_in_what_stock_clients_ask_for() {
        let options: AptOptions = serde_json::from_value(
            json!({"suites": ["bookworm"], "components": ["main"], "architectures": ["amd64"]}),
        )
        .unwrap();
        assert_eq!(options.languages, ["en"]);
        assert!(options.dep11 && options.command_not_found);
        assert!(!options.contents && !options.sources && !options.udebs && !options.installer);
        assert_eq!(options.compressions, Compressions::Best);
        assert_eq!(options.check().map_err(|e| e.to_string()), Ok(()));
    }

    #[test]
    fn says_which_option_cannot_be_honoured() {
        let base = json!({"suites": ["s"], "components": ["main"], "architectures": ["amd64"]});
        let with = |key: &str, value: serde_json::Value| {
            let mut options = base.clone();
            options[key] = value;
            check(options)
        };
        for (key, value, word) in [
            ("suites", json!([]), "option `apt.suites`: at least one is needed"),
            ("suites", json!(["s", "s"]), "`s` stands there twice"),
            ("suites", json!(["../s"]), "`..` segment"),
            ("suites", json!(["/s"]), "is absolute"),
            ("suites", json!(["s", "flat/"]), "cannot stand beside others"),
            ("suites", json!(["flat/"]), "option `apt.components`: a flat suite"),
            ("suites", json!(["./", "/"]), "`./` and `/` are one directory"),
            ("suites", json!([""]), "one of them is empty"),
            ("suites", json!(["a b"]), "a blank"),
            ("components", json!([]), "option `apt.components`: at least one is needed"),
            ("components", json!(["main\ncontrib"]), "control character"),
            ("components", json!(["a b"]), "a blank"),
            ("architectures", json!([]), "at least one is needed"),
            ("architectures", json!(["source"]), "`sources: true`"),
            ("architectures", json!(["AMD64"]), "lower-case letters"),
            ("languages", json!(["none"]), "`languages: []`"),
            ("languages", json!(["a/b"]), "a language is a code"),
            ("languages", json!("en"), "invalid type"),
            ("source", json!(true), "unknown field `source`"),
            ("compressions", json!("some"), "unknown variant `some`"),
        ] {
            let error = with(key, value.clone()).unwrap_err();
            assert!(error.contains(word), "{key}: {value}: {error}");
        }
        assert_eq!(with("languages", json!([])), Ok(()));
        assert_eq!(with("languages", json!(["pt_BR", "sr@latin"])), Ok(()));
        assert_eq!(check(json!({"suites": ["./", "a/b/"], "architectures": ["amd64"]})), Ok(()));
    }
}
