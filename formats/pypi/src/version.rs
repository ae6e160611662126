//! The order of versions and what a specifier holds of them (PEP 440).

use std::{cmp::Ordering, fmt, str::FromStr};

use pep440_rs::{Operator, Version, VersionSpecifier};

/// Orders two versions as pip does; what PEP 440 does not know stands below all that it knows, among themselves by text in
/// which runs of digits count as numbers.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => compare_text(a, b),
    }
}

fn compare_text(a: &str, b: &str) -> Ordering {
    let chunk = |text: &str| -> Option<(bool, usize)> {
        let digits = text.bytes().next()?.is_ascii_digit();
        let end = text.bytes().position(|b| b.is_ascii_digit() != digits).unwrap_or(text.len());
        Some((digits, end))
    };
    let (mut left, mut right) = (a, b);
    loop {
        let (one, other) = match (chunk(left), chunk(right)) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => (one, other),
        };
        let ((head, tail), (head_b, tail_b)) = (left.split_at(one.1), right.split_at(other.1));
        let order = if one.0 && other.0 {
            let (m, n) = (head.trim_start_matches('0'), head_b.trim_start_matches('0'));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            head.cmp(head_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (tail, tail_b);
    }
}

/// A set of version specifiers, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specifiers(Vec<VersionSpecifier>);

/// Some text that is no version specifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version specifier (PEP 440)")]
pub struct SpecifierError(String);

impl Specifiers {
    /// Tells whether every specifier holds for `version`; pre-releases are not looked at.
    pub fn contain(&self, version: &Version) -> bool {
        self.0.iter().all(|specifier| holds(specifier, version))
    }

    /// Tells whether some specifier names one version, so that even a yanked one is meant (PEP 592).
    pub fn pins(&self) -> bool {
        self.0.iter().any(|s| matches!(s.operator(), Operator::Equal | Operator::ExactEqual))
    }

    /// Tells whether some specifier names a pre-release, so that pre-releases are meant.
    pub fn names_prerelease(&self) -> bool {
        self.0.iter().any(|s| {
            let excludes = matches!(s.operator(), Operator::NotEqual | Operator::NotEqualStar);
            !excludes && s.version().any_prerelease()
        })
    }

    /// Returns the specifiers of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }
}

impl FromStr for Specifiers {
    type Err = SpecifierError;
    /// Reads specifiers joined by commas; `>=1.*`, which old metadata holds, is read as `>=1`.
    fn from_str(text: &str) -> Result<Self, SpecifierError> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let ordered = part.starts_with(['<', '>']);
            let lenient = if ordered { part.strip_suffix(".*").unwrap_or(part) } else { part };
            let one = VersionSpecifier::from_str(lenient)
                .map_err(|_| SpecifierError(part.chars().take(80).collect()))?;
            all.push(one);
        }
        all.sort();
        all.dedup();
        Ok(Self(all))
    }
}
impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, specifier) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", specifier.to_string().replace(' ', ""))?;
        }
        Ok(())
    }
}

/// Judges one comparison of a marker: none where operator and version make no specifier.
pub(crate) fn compares(operator: &str, wanted: &str, version: &str) -> Option<bool> {
    let specifier = VersionSpecifier::from_str(&format!("{operator}{wanted}")).ok()?;
    Some(Version::from_str(version).is_ok_and(|version| holds(&specifier, &version)))
}

/// Judges one specifier as `packaging` does.
///
/// `pep440_rs` has its own `contains`, which takes `1` for an instance of `==1.1.*`; order and parsing are its.
fn holds(specifier: &VersionSpecifier, version: &Version) -> bool {
    let wanted = specifier.version();
    let public = version.clone().without_local();
    let same_release = || compare_release(wanted.release(), version.release()) == Ordering::Equal;
    let same_epoch = wanted.epoch() == version.epoch();
    match specifier.operator() {
        Operator::Equal => equal(wanted, version),
        Operator::NotEqual => !equal(wanted, version),
        Operator::EqualStar => same_epoch && has_prefix(version.release(), wanted.release()),
        Operator::NotEqualStar => !(same_epoch && has_prefix(version.release(), wanted.release())),
        Operator::ExactEqual => wanted.to_string().eq_ignore_ascii_case(&version.to_string()),
        Operator::TildeEqual => {
            let prefix = wanted.release().split_last().map_or(&[][..], |(_, head)| head);
            same_epoch && has_prefix(version.release(), prefix) && public >= *wanted
        }
        Operator::GreaterThanEqual => public >= *wanted,
        Operator::LessThanEqual => public <= *wanted,
        Operator::LessThan => {
            let own_prerelease =
                same_epoch && version.any_prerelease() && !wanted.any_prerelease() && same_release();
            *version < *wanted && !own_prerelease
        }
        Operator::GreaterThan => {
            let own_post = same_epoch
                && version.is_post()
                && !wanted.is_post()
                && version.pre() == wanted.pre()
                && same_release();
            let own_local = version.is_local() && public == *wanted;
            *version > *wanted && !own_post && !own_local
        }
    }
}

fn equal(wanted: &Version, version: &Version) -> bool {
    if wanted.is_local() { wanted == version } else { *wanted == version.clone().without_local() }
}

fn has_prefix(release: &[u64], prefix: &[u64]) -> bool {
    let padded = release.iter().chain(std::iter::repeat(&0));
    prefix.iter().zip(padded).all(|(wanted, found)| wanted == found)
}

fn compare_release(a: &[u64], b: &[u64]) -> Ordering {
    let length = a.len().max(b.len());
    let padded = |r: &[u64]| r.iter().copied().chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>();
    padded(a).cmp(&padded(b))
}

#[cfg(test)]
mod tests;
