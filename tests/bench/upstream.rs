//! An APT upstream of any size: of packages that somebody has, of noise, or of stanzas alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::fixtures::{gzip, hash, key::SigningKey, write, xz};

/// What an upstream's packages are.
pub enum Packages {
    /// Files that are there; what is left of them comes with the next generation.
    Real(std::vec::IntoIter<PathBuf>),
    /// Noise of so many bytes each.
    Noise(usize),
    /// Nothing but their stanzas.
    Listed,
}

/// How its index is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// As archives do.
    Xz,
    /// In less time than the work that is measured.
    Gzip,
}

/// An archive that grows.
pub struct Upstream {
    root: PathBuf,
    pub key: SigningKey,
    packages: Packages,
    packed: Packed,
    stanzas: String,
    count: usize,
    generation: i64,
}

impl Upstream {
    /// Makes an archive of the first `count` packages.
    pub fn new(root: &Path, packages: Packages, count: usize, packed: Packed) -> Self {
        let (key, stanzas) = (SigningKey::eddsa("bench"), String::new());
        let mut this = Self { root: root.into(), key, packages, packed, stanzas, count: 0, generation: 0 };
        this.grow(count);
        this
    }

    /// Adds packages and writes a new generation of the indexes.
    pub fn grow(&mut self, packages: usize) {
        for number in self.count..self.count + packages {
            let path = format!("pool/main/p/package-{number:07}_1.{number}-1_amd64.deb");
            let bytes = match &mut self.packages {
                Packages::Real(files) => {
                    let to = self.root.join(&path);
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    place(&files.next().expect("a package more"), &to);
                    fs::read(to).unwrap()
                }
                Packages::Noise(size) => {
                    let bytes = noise(number as u64, *size);
                    write(&self.root, &path, &bytes);
                    bytes
                }
                Packages::Listed => vec![0],
            };
            let hashed = if matches!(self.packages, Packages::Listed) { path.as_bytes() } else { &bytes };
            self.stanzas.push_str(&format!(
                "Package: package-{number:07}\nVersion: 1.{number}-1\nInstalled-Size: {}\nMaintainer: Bench <bench@example.org>\nArchitecture: amd64\n\
                 Depends: libc6 (>= 2.36), libgcc-s1 (>= 3.0), libstdc++6 (>= 11), package-{:07}\nSuggests: something, something-else\n\
                 Description: package number {number} of a synthetic archive\nHomepage: https://example.org/package-{number}\n\
                 Description-md5: {}\nTag: role::program, scope::utility, use::testing\nSection: misc\nPriority: optional\n\
                 Filename: {path}\nSize: {}\nMD5sum: {}\nSHA256: {}\n\n",
                number % 9_000,
                number / 2,
                hash::<md5::Md5>(path.as_bytes()),
                bytes.len(),
                hash::<md5::Md5>(&bytes),
                hash::<sha2::Sha256>(hashed),
            ));
        }
        self.count += packages;
        self.publish();
    }

    /// Returns the index as it is published.
    pub fn index(&self) -> PathBuf {
        self.root.join("dists/stable/main/binary-amd64").join(self.packed.name())
    }

    fn publish(&mut self) {
        self.generation += 1;
        let packed = match self.packed {
            Packed::Xz => xz(self.stanzas.as_bytes()),
            Packed::Gzip => gzip(self.stanzas.as_bytes()),
        };
        write(&self.root, &format!("dists/stable/main/binary-amd64/{}", self.packed.name()), &packed);
        let date = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 3600 + self.generation)
            .unwrap();
        let date = date.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S UTC").to_string();
        let line = |bytes: &[u8], name: &str| {
            format!(" {} {} main/binary-amd64/{name}\n", hash::<sha2::Sha256>(bytes), bytes.len())
        };
        let release = format!(
            "Origin: Bench\nLabel: Bench\nSuite: stable\nCodename: stable\nDate: {date}\nArchitectures: amd64\nComponents: main\nSHA256:\n{}{}",
            line(self.stanzas.as_bytes(), "Packages"),
            line(&packed, self.packed.name())
        );
        write(&self.root, "dists/stable/InRelease", self.key.cleartext(&release));
    }
}

impl Packed {
    fn name(self) -> &'static str {
        match self {
            Self::Xz => "Packages.xz",
            Self::Gzip => "Packages.gz",
        }
    }
}

/// Gives a file a second name, or copies it where it lies on another file system.
fn place(from: &Path, to: &Path) {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            fs::copy(from, to).unwrap();
        }
        other => other.unwrap(),
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
