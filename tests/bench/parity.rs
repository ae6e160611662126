//! Parity: the code by itself in memory, and a bundle with it on disk.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use chantal_bundle::parity::{CodeError, Encoder, Layout, Percent, Repairer, Source, plan};

use crate::{
    command::{chantal, newest, receiver, run},
    table::{Cost, Row},
};

/// Threads that encode and repair, as an export and an import have them.
const THREADS: u64 = 2;

/// A group of volumes in memory; `lost` is not there.
#[derive(Clone, Copy)]
struct Memory<'a> {
    volumes: &'a [Vec<u8>],
    parity: &'a [Vec<u8>],
    lost: Option<usize>,
}

impl Source for Memory<'_> {
    fn data(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let at = usize::try_from(offset).unwrap();
        room.copy_from_slice(&self.volumes[file][at..at + room.len()]);
        self.lost != Some(file)
    }

    fn parity(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let at = usize::try_from(offset).unwrap();
        room.copy_from_slice(&self.parity[file][at..at + room.len()]);
        true
    }
}

/// Encodes ten volumes and one of parity, and repairs a lost one.
pub fn code(quick: bool) {
    let size: u64 = if quick { 4 << 20 } else { 48 << 20 };
    let mut state = 1_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let volumes: Vec<Vec<u8>> = (0..10).map(|_| (0..size / 8).flat_map(|_| noise()).collect()).collect();
    let percent: Percent = "10%".parse().unwrap();
    let layout = plan(&[size; 10], percent, u64::MAX).unwrap();
    let (wall, parity) = encode(&layout, &volumes);
    tell("parity of ten volumes: encode", &layout, wall, 2.0);
    let memory = Memory { volumes: &volumes, parity: &parity, lost: Some(3) };
    let restored = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for first in 0..THREADS {
            let (layout, restored) = (&layout, &restored);
            scope.spawn(move || {
                let mut repairer = Repairer::new(layout, memory).unwrap();
                for stripe in (first..layout.stripes()).step_by(2) {
                    let mut restore = |_: usize, _: u64, bytes: &[u8]| {
                        restored.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    };
                    repairer.repair(stripe, &mut |_, _| true, &mut restore).unwrap();
                }
            });
        }
    });
    tell("parity of ten volumes: repair a lost one", &layout, began.elapsed(), 1.0);
    assert_eq!(restored.into_inner(), size);
}

fn encode(layout: &Layout, volumes: &[Vec<u8>]) -> (Duration, Vec<Vec<u8>>) {
    let began = Instant::now();
    let made: Vec<Vec<(u64, Vec<Vec<u8>>)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                scope.spawn(move || {
                    let mut encoder = Encoder::new(layout).unwrap();
                    let stripes = (first..layout.stripes()).step_by(2);
                    let one = |stripe| {
                        let sections = encoder.stripe::<CodeError>(stripe, |block, room| {
                            let at = usize::try_from(block.offset).unwrap();
                            room.copy_from_slice(&volumes[block.file][at..at + room.len()]);
                            Ok(())
                        });
                        (stripe, sections.unwrap())
                    };
                    stripes.map(one).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let wall = began.elapsed();
    let mut parity: Vec<Vec<u8>> = (0..layout.recovery_files().len())
        .map(|n| vec![0; usize::try_from(layout.parity_bytes(n)).unwrap()])
        .collect();
    for (stripe, sections) in made.into_iter().flatten() {
        for (n, section) in sections.iter().enumerate() {
            let at = usize::try_from(layout.section(n, stripe)).unwrap();
            parity[n][at..at + section.len()].copy_from_slice(section);
        }
    }
    (wall, parity)
}

fn tell(work: &str, layout: &Layout, wall: Duration, rate: f64) {
    let bytes: u64 = (0..layout.covers()).map(|n| layout.size(n)).sum();
    Row::new(work, Cost { wall, cpu: None, peak: None }).bytes(bytes).at_least(rate).print();
}

/// Exports with parity, loses a volume and imports; beside it, export and import without.
pub fn carry(dir: &Path, hq: &Path, (export, import): (Cost, Cost), bytes: u64) {
    let media = dir.join("protected");
    fs::create_dir_all(&media).unwrap();
    // ten volumes, whatever the packages weigh
    let volume = format!("{}MiB", (bytes >> 20) / 10 + 16);
    let args =
        ["export", "--to", "plant", "--since", "none", "--volume-size", &volume, "--parity", "10%", "--out"];
    let protected = run(chantal(hq).args(args).arg(&media));
    let more = export.peak.map_or(256, |peak| peak + 64);
    Row::new("export, full, ten volumes, with 10 % of parity", protected)
        .bytes(bytes)
        .beside("export", export)
        .memory(more)
        .print();
    let bundle = newest(&media);
    fs::remove_file(bundle.join("volume-0002.tar.zst")).unwrap();
    let plant = receiver(&dir.join("protected"), hq);
    let repaired = run(chantal(&plant).arg("import").arg(&bundle));
    let more = import.peak.map_or(256, |peak| peak + 64);
    Row::new("import, a volume of ten lost", repaired)
        .bytes(bytes)
        .beside("import", import)
        .memory(more)
        .print();
    fs::remove_dir_all(media).unwrap();
}
