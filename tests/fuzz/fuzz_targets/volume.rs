#![no_main]

use libfuzzer_sys::fuzz_target;

use std::io::Read;

fuzz_target!(|data: &[u8]| {
    let mut unpacker = chantal_bundle::volume::Unpacker::new(data);
    while let Ok(Some((_, size))) = unpacker.next_member() {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while let Ok(n) = unpacker.read(&mut buffer) {
            if n == 0 {
                break;
            }
            read += n as u64;
        }
        assert!(read <= size);
    }
});
