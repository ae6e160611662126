//! The key of a package: nothing but what its file's name says.

use chantal_contract::{FormatError, Key, RepoPath};

use crate::{
    filename::Distribution,
    listing::{self, METADATA, PROVENANCE, SIGNATURE},
    name::Name,
};

/// Returns the project of a `pkg` line; refuses one whose project, version or paths are not those of its file's name.
///
/// Clients read all that from the name, so that a key which says something else shows people another package than clients get.
pub(crate) fn expect(key: &Key, files: &[RepoPath]) -> Result<Name, FormatError> {
    let Some(first) = files.first() else {
        return Err(FormatError::Option { option: key.to_string(), why: "the package has no file".into() });
    };
    let wrong = |expected: &str, found: &str| Err(FormatError::malformed(first, "key", expected, found));
    let Some(name) = Name::new(&key.name).filter(|name| name.as_str() == key.name) else {
        return wrong("a normalised project name", &key.name);
    };
    let filename = &key.architecture;
    let Ok(distribution) = Distribution::parse(filename, &name) else {
        return wrong("the name of a wheel or a source archive of the project", filename);
    };
    let version = distribution.version.to_string();
    if version != key.version || !key.variant.is_empty() {
        return wrong(&format!("version {version} of `{filename}`, and nothing behind it"), &key.encode());
    }
    let whole = listing::path(&name, filename)?;
    let known = |path: &RepoPath| {
        let suffix = path.as_str().strip_prefix(whole.as_str());
        suffix.is_some_and(|suffix| ["", METADATA, PROVENANCE, SIGNATURE].contains(&suffix))
    };
    match files.iter().find(|path| !known(path)) {
        Some(stranger) => wrong(&format!("`{whole}` and what belongs to it"), stranger.as_str()),
        None => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_its_file_is_called() {
        let wheel = "requests-2.0-py3-none-any.whl";
        let path = |file: &str| RepoPath::new(&format!("packages/requests/{file}")).unwrap();
        let whole = || vec![path(wheel), path(&format!("{wheel}.metadata"))];
        let key = |name: &str, version: &str, file: &str| Key::new(name, version, file);
        let good = key("requests", "2.0", wheel);
        assert_eq!(expect(&good, &whole()).unwrap().as_str(), "requests");
        let named = |why: &str, key: &Key, files: &[RepoPath]| {
            let error = expect(key, files).expect_err(why).to_string();
            assert!(error.contains("expected") || files.is_empty(), "{error}");
        };
        named("another version", &key("requests", "3.0", wheel), &whole());
        named("another form of the version", &key("requests", "2.0.0", wheel), &whole());
        named("another project", &key("urllib3", "2.0", wheel), &whole());
        named("no normalised name", &key("Requests", "2.0", wheel), &whole());
        named("no distribution", &key("requests", "2.0", "requests-2.0.exe"), &[path("requests-2.0.exe")]);
        named("a variant", &Key { variant: "x".into(), ..good.clone() }, &whole());
        named("no file", &good, &[]);
        named("a file before it", &good, &[path("decoy"), path(wheel)]);
        named("another file behind it", &good, &[path(wheel), path("requests-3.0-py3-none-any.whl")]);
        named("a place of another's", &good, &[RepoPath::new(&format!("packages/other/{wheel}")).unwrap()]);
    }
}
