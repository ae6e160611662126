//! A synthetic APT upstream of any size.

use std::path::{Path, PathBuf};

use crate::fixtures::{hash, key::SigningKey, write, xz};

/// An archive of packages that hold noise, or of stanzas without files.
pub struct Synthetic {
    root: PathBuf,
    pub key: SigningKey,
    stanzas: String,
    packages: usize,
    generation: i64,
}

impl Synthetic {
    /// Makes `packages` packages of `size` bytes; of size 0, only their stanzas.
    pub fn new(root: &Path, packages: usize, size: usize) -> Self {
        let mut this = Self {
            root: root.into(),
            key: SigningKey::eddsa("bench"),
            stanzas: String::new(),
            packages: 0,
            generation: 0,
        };
        this.grow(packages, size);
        this
    }

    /// Adds packages and writes a new generation of the indexes.
    pub fn grow(&mut self, packages: usize, size: usize) {
        for number in self.packages..self.packages + packages {
            let path = format!("pool/main/p/package-{number:07}_1.{number}-1_amd64.deb");
            let bytes = noise(number as u64, size);
            if size > 0 {
                write(&self.root, &path, &bytes);
            }
            self.stanzas.push_str(&format!(
                "Package: package-{number:07}\nVersion: 1.{number}-1\nInstalled-Size: {}\nMaintainer: Bench <bench@example.org>\nArchitecture: amd64\n\
                 Depends: libc6 (>= 2.36), libgcc-s1 (>= 3.0), libstdc++6 (>= 11), package-{:07}\nSuggests: something, something-else\n\
                 Description: package number {number} of a synthetic archive\nHomepage: https://example.org/package-{number}\n\
                 Description-md5: {}\nTag: role::program, scope::utility, use::testing\nSection: misc\nPriority: optional\n\
                 Filename: {path}\nSize: {}\nMD5sum: {}\nSHA256: {}\n\n",
                number % 9_000,
                number / 2,
                hash::<md5::Md5>(path.as_bytes()),
                size.max(1),
                hash::<md5::Md5>(&bytes),
                hash::<sha2::Sha256>(if size > 0 { &bytes } else { path.as_bytes() }),
            ));
        }
        self.packages += packages;
        self.publish();
    }

    fn publish(&mut self) {
        self.generation += 1;
        let packed = xz(self.stanzas.as_bytes());
        write(&self.root, "dists/stable/main/binary-amd64/Packages.xz", &packed);
        let date = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 3600 + self.generation)
            .unwrap();
        let date = date.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S UTC").to_string();
        let line = |bytes: &[u8], name: &str| {
            format!(" {} {} main/binary-amd64/{name}\n", hash::<sha2::Sha256>(bytes), bytes.len())
        };
        let release = format!(
            "Origin: Bench\nLabel: Bench\nSuite: stable\nCodename: stable\nDate: {date}\nArchitectures: amd64\nComponents: main\nSHA256:\n{}{}",
            line(self.stanzas.as_bytes(), "Packages"),
            line(&packed, "Packages.xz")
        );
        write(&self.root, "dists/stable/InRelease", self.key.cleartext(&release));
    }
}

/// Bytes that do not compress, different for every seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(size);
    out
}
