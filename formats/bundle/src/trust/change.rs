//! Makes the next version of a trust document from the former one.

use chantal_contract::SiteName;

use super::{Revocation, TrustDocument, TrustError, TrustRole, TrustedKey};
use crate::{
    key::{KeyFingerprint, PublicKey},
    name::{BundleNameError, Epoch},
};

/// Why a next version cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What would come out breaks a rule of the specification.
    #[error(transparent)]
    Document(#[from] TrustError),
    /// There is no such key.
    #[error("trust document version {version} of `{collector}` lists no key {key}")]
    Unknown {
        /// Whose document.
        collector: SiteName,
        /// Which version.
        version: u32,
        /// The key.
        key: KeyFingerprint,
    },
    /// A revoked key never comes back.
    #[error("key {key} was revoked by trust document version {version}; a revocation is never taken back")]
    Revoked {
        /// The key.
        key: KeyFingerprint,
        /// The version that revoked it.
        version: u32,
    },
    /// A key signs the receipts of one site only.
    #[error("key {key} signs the receipts of site `{site}` already")]
    OtherSite {
        /// The key.
        key: KeyFingerprint,
        /// The site that it belongs to.
        site: SiteName,
    },
    /// The next version would say what this one says.
    #[error("nothing would change")]
    Nothing,
    /// The epochs are used up.
    #[error(transparent)]
    Epoch(#[from] BundleNameError),
}

/// The next version of a trust document, while it is put together.
#[derive(Clone, Debug)]
pub struct Change {
    former: TrustDocument,
    next: TrustDocument,
}

impl Change {
    /// Begins with what the former version says.
    pub fn of(former: &TrustDocument) -> Self {
        let mut next = former.clone();
        next.version += 1;
        Self { former: former.clone(), next }
    }

    /// Gives a key a role, beside those that it has; a receiver's key belongs to one site.
    pub fn add(
        &mut self,
        key: PublicKey,
        role: TrustRole,
        site: Option<&SiteName>,
    ) -> Result<(), ChangeError> {
        let fingerprint = key.fingerprint();
        if let Some(revocation) = self.next.revocation(&fingerprint) {
            return Err(ChangeError::Revoked { key: fingerprint, version: revocation.version });
        }
        if !self.next.keys.iter().any(|k| k.key == key) {
            self.next.keys.push(TrustedKey { key, roles: Vec::new(), site: None });
        }
        for listed in self.next.keys.iter_mut().filter(|k| k.key == key) {
            match (&listed.site, site) {
                (Some(other), Some(site)) if other != site => {
                    return Err(ChangeError::OtherSite { key: fingerprint, site: other.clone() });
                }
                (None, Some(site)) => listed.site = Some(site.clone()),
                _ => {}
            }
            listed.roles.push(role);
            listed.roles.sort();
            listed.roles.dedup();
        }
        Ok(())
    }

    /// Puts a new key in the place of an old one, with all its roles.
    pub fn replace(&mut self, old: &KeyFingerprint, new: PublicKey) -> Result<(), ChangeError> {
        let listed = self.listed(old)?;
        self.next.keys.retain(|k| k.key.fingerprint() != *old);
        for role in listed.roles {
            self.add(new, role, listed.site.as_ref())?;
        }
        Ok(())
    }

    /// Takes a key away without saying that it was stolen: what it signs from now on is of nobody.
    pub fn remove(&mut self, key: &KeyFingerprint) -> Result<(), ChangeError> {
        self.listed(key)?;
        self.next.keys.retain(|k| k.key.fingerprint() != *key);
        Ok(())
    }

    /// Revokes a key, listed or not; a collector's key takes the epoch with it, as it may have pushed the sequence.
    pub fn revoke(&mut self, key: &KeyFingerprint) -> Result<(), ChangeError> {
        if let Some(revocation) = self.former.revocation(key) {
            return Err(ChangeError::Revoked { key: *key, version: revocation.version });
        }
        let collects = |document: &TrustDocument| {
            document.keys_of(TrustRole::Collector).any(|k| k.fingerprint() == *key)
        };
        // one that was never listed, or was taken away before, may have signed under an earlier version
        let listed = self.former.keys.iter().any(|k| k.key.fingerprint() == *key);
        if collects(&self.former) || collects(&self.next) || !listed {
            self.raise_epoch()?;
        }
        self.next.keys.retain(|k| k.key.fingerprint() != *key);
        self.next.revoked.retain(|r| r.key != *key);
        self.next.revoked.push(Revocation { key: *key, version: self.next.version });
        Ok(())
    }

    /// Sets how many distinct keys of a role must sign; a receipt always needs one.
    pub fn threshold(&mut self, role: TrustRole, count: u32) {
        match role {
            TrustRole::Root => self.next.thresholds.root = count,
            TrustRole::Collector => self.next.thresholds.collector = count,
            TrustRole::Approver => self.next.thresholds.approver = count,
            TrustRole::Receiver => {}
        }
    }

    /// Begins a new epoch, in which sequences count from 1 again; once is enough for one version.
    pub fn raise_epoch(&mut self) -> Result<Epoch, ChangeError> {
        self.next.epoch = self.former.epoch.next()?;
        Ok(self.next.epoch)
    }

    /// Returns the next version, which keeps every rule and says something new.
    pub fn finish(mut self) -> Result<TrustDocument, ChangeError> {
        self.next.keys.sort_by_cached_key(|k| k.key.to_string());
        self.next.revoked.sort_by_cached_key(|r| r.key.to_string());
        let mut same = self.next.clone();
        same.version = self.former.version;
        if same == self.former {
            return Err(ChangeError::Nothing);
        }
        self.next.encode()?;
        Ok(self.next)
    }

    fn listed(&self, key: &KeyFingerprint) -> Result<TrustedKey, ChangeError> {
        let found = self.next.keys.iter().find(|k| k.key.fingerprint() == *key).cloned();
        found.ok_or_else(|| ChangeError::Unknown {
            collector: self.former.collector.clone(),
            version: self.former.version,
            key: *key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey::from_bytes([n; 32])
    }

    fn first() -> TrustDocument {
        TrustDocument::first(SiteName::new("hq").unwrap(), key(1))
    }

    fn roles(document: &TrustDocument, n: u8) -> Vec<TrustRole> {
        document.keys.iter().find(|k| k.key == key(n)).map(|k| k.roles.clone()).unwrap_or_default()
    }

    #[test]
    fn keys_come_with_roles_and_go() {
        let plant = SiteName::new("plant-7").unwrap();
        let mut change = Change::of(&first());
        change.add(key(3), TrustRole::Receiver, Some(&plant)).unwrap();
        change.add(key(2), TrustRole::Collector, None).unwrap();
        change.add(key(2), TrustRole::Root, None).unwrap();
        change.threshold(TrustRole::Root, 2);
        let second = change.finish().unwrap();
        assert_eq!((second.version, second.epoch.get(), second.thresholds.root), (2, 1, 2));
        assert_eq!(roles(&second, 2), [TrustRole::Root, TrustRole::Collector]);
        assert_eq!(second.receiver_keys(&plant).count(), 1);
        let other = SiteName::new("plant-8").unwrap();
        let taken = Change::of(&second).add(key(3), TrustRole::Receiver, Some(&other));
        assert!(matches!(taken, Err(ChangeError::OtherSite { .. })));
        let mut change = Change::of(&second);
        change.remove(&key(3).fingerprint()).unwrap();
        assert!(matches!(change.remove(&key(3).fingerprint()), Err(ChangeError::Unknown { .. })));
        assert_eq!(roles(&change.finish().unwrap(), 3), []);
        // two of two must sign: none of the two can go
        let mut change = Change::of(&second);
        change.remove(&key(2).fingerprint()).unwrap();
        assert!(matches!(change.finish(), Err(ChangeError::Document(_))));
    }

    #[test]
    fn a_replaced_key_leaves_its_roles_to_the_new_one() {
        let mut change = Change::of(&first());
        change.replace(&key(1).fingerprint(), key(2)).unwrap();
        let second = change.finish().unwrap();
        assert_eq!(roles(&second, 2), [TrustRole::Root, TrustRole::Collector]);
        assert_eq!((roles(&second, 1), second.revoked.len(), second.epoch.get()), (vec![], 0, 1));
    }

    #[test]
    fn a_revoked_collector_takes_its_epoch_along_and_never_comes_back() {
        let mut change = Change::of(&first());
        change.add(key(2), TrustRole::Root, None).unwrap();
        change.add(key(2), TrustRole::Collector, None).unwrap();
        change.add(key(4), TrustRole::Approver, None).unwrap();
        let second = change.finish().unwrap();
        let mut change = Change::of(&second);
        change.revoke(&key(4).fingerprint()).unwrap();
        assert_eq!(change.finish().unwrap().epoch.get(), 1, "an approver pushes no sequence");
        let mut change = Change::of(&second);
        change.revoke(&key(1).fingerprint()).unwrap();
        change.revoke(&key(9).fingerprint()).unwrap();
        let third = change.finish().unwrap();
        assert_eq!((third.epoch.get(), third.revoked.len()), (2, 2));
        assert!(third.is_revoked(&key(1)));
        let again = Change::of(&third).add(key(1), TrustRole::Approver, None);
        assert!(matches!(again, Err(ChangeError::Revoked { version: 3, .. })));
        let again = Change::of(&third).revoke(&key(1).fingerprint());
        assert!(matches!(again, Err(ChangeError::Revoked { version: 3, .. })));
    }

    #[test]
    fn nothing_is_no_version_and_epochs_end() {
        assert!(matches!(Change::of(&first()).finish(), Err(ChangeError::Nothing)));
        let mut document = first();
        document.version = 7;
        for (epoch, ends) in [(9_997, false), (9_998, false), (9_999, true)] {
            document.epoch = Epoch::new(epoch).unwrap();
            assert_eq!(Change::of(&document).raise_epoch().is_err(), ends, "{epoch}");
        }
    }
}
