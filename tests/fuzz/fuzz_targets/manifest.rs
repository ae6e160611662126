#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = chantal_contract::manifest::Reader::new(data) else { return };
    let mut writer = chantal_contract::manifest::Writer::new(Vec::new(), reader.header()).expect("it was read");
    while let Ok(Some(line)) = reader.next_line() {
        // one form only: what parses is what is written
        assert_eq!(Some(line.encode().as_str()), reader.current());
        writer.line(&line).expect("it was read");
    }
});
