//! The store by itself: blobs, records, manifests, journal.

use std::{
    io::Write,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chantal::store::{Event, Name, SiteName, StateRef, Store};
use chantal_contract::{Digest, Entry, Expect, Header, Kind, Line, Measured, Mode, RepoPath, Role};

use crate::{
    command::run,
    table::{Row, timed},
};

/// Measures each part of a store below `dir`.
pub fn measure(dir: &Path, quick: bool) {
    let scale = if quick { 10 } else { 1 };
    std::fs::create_dir_all(dir).unwrap();
    let store =
        Store::create(&dir.join("store"), &SiteName::new("bench").unwrap(), jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
    small_blobs(&store, 20_000 / scale);
    large_blobs(&store, dir, 300 / scale);
    records(&store, 200_000 / scale);
    manifests(&store, 1_000_000 / scale);
    journal(&store);
}

fn small_blobs(store: &Store, count: u64) {
    let cost = timed(|| {
        let batch = store.pool().batch().unwrap();
        let mut bytes = vec![0; 8 << 10];
        for number in 0..count {
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            batch.put(&bytes).unwrap();
        }
        batch.flush().unwrap();
    });
    Row::new(format!("{count} blobs of 8 KiB enter the pool"), cost).print();
}

/// Blobs of 4 MiB, two threads; beside it, sha256sum of the same bytes.
fn large_blobs(store: &Store, dir: &Path, count: u64) {
    const SIZE: usize = 4 << 20;
    let noise = |number: u64| {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(SIZE);
        while bytes.len() < SIZE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes
    };
    let file = dir.join("noise");
    let mut out = std::fs::File::create(&file).unwrap();
    let blobs: Vec<Vec<u8>> = (0..16).map(noise).collect();
    for number in 0..count {
        out.write_all(&number.to_le_bytes()).unwrap();
        out.write_all(&blobs[usize::try_from(number % 16).unwrap()]).unwrap();
    }
    let hash = run(Command::new("sha256sum").arg(&file));
    let next = AtomicU64::new(0);
    let cost = timed(|| {
        let batch = store.pool().batch().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        let mut writer = batch.writer(&Expect::at_most(u64::MAX)).unwrap();
                        writer.write_all(&number.to_le_bytes()).unwrap();
                        for part in blobs[usize::try_from(number % 16).unwrap()].chunks(256 << 10) {
                            writer.write_all(part).unwrap();
                        }
                        writer.finish().unwrap();
                    }
                });
            }
        });
        batch.flush().unwrap();
    });
    Row::new(format!("{count} blobs of 4 MiB enter, two threads, synced"), cost)
        .beside("sha256sum", hash)
        .print();
}

fn records(store: &Store, count: u64) {
    let record = |number: u64| {
        format!(
            "Package: package-{number}\nVersion: 1.{number}-1\nInstalled-Size: {}\nMaintainer: Bench <bench@example.org>\n\
             Architecture: amd64\nDescription: number {number} of many\nSHA256: {}\n",
            number * 7,
            Digest::of(&number.to_le_bytes())
        )
    };
    let mut names = Vec::new();
    let added = timed(|| {
        let mut writer = store.packs().writer().unwrap();
        names.extend((0..count).map(|number| writer.add(record(number).as_bytes()).unwrap()));
        writer.commit().unwrap();
    });
    Row::new(format!("add {count} records"), added).print();
    let read = timed(|| names.iter().for_each(|name| drop(store.packs().get(name).unwrap())));
    Row::new(format!("read {count} records in order"), read).print();
}

fn manifests(store: &Store, lines: u64) {
    let header = Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options: serde_json::json!({}) };
    let write = |generation: u64, former: Option<&Digest>| {
        let mut writer = store.manifests().writer(&header, former).unwrap();
        for number in 0..lines {
            let content = if number % 100 == 0 { generation } else { 0 };
            let sha256 = Digest::of(format!("{number} {content}").as_bytes());
            let path = RepoPath::new(&format!("pool/main/p/package-{number:07}_1.0_amd64.deb")).unwrap();
            let entry = Entry::Present { measured: Measured { sha256, size: number }, role: Role::Payload };
            writer.line(&Line::File { path, entry }).unwrap();
        }
        writer.finish().unwrap()
    };
    let (mut first, mut last) = (None, None);
    let whole = timed(|| first = Some(write(1, None)));
    Row::new(format!("write a manifest of {lines} lines"), whole).print();
    let delta = timed(|| last = Some(write(2, first.as_ref())));
    Row::new("write its successor, 1 % changed", delta).print();
    let compared = timed(|| {
        store.diff(&first.unwrap(), &last.unwrap(), &mut |_| Ok(())).unwrap();
    });
    Row::new("diff of the two, as stored", compared).within(Duration::from_secs(1), "1 s").print();
}

fn journal(store: &Store) {
    let state = StateRef { manifest: Digest::of(b"state"), evidence: None, date: None, valid_until: None };
    let cost = timed(|| {
        for _ in 0..100 {
            let repository = Name::new("bench").unwrap();
            let event = Event::State { repository, state: state.clone(), complete: true };
            store.journal().append(event, jiff::Timestamp::UNIX_EPOCH).unwrap();
        }
    });
    Row::new("append 100 entries to the journal, synced", cost).print();
}
