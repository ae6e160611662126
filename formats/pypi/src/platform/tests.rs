use super::*;

#[test]
fn reads_what_wheels_call_platforms() {
    let read = |text: &str| Platform::from_str(text);
    assert_eq!(read("manylinux2014_x86_64"), read("manylinux_2_17_x86_64"));
    assert_eq!(read("manylinux1_i686"), read("manylinux_2_5_i686"));
    assert!(matches!(read("linux_x86_64"), Err(PlatformError::Library(..))));
    for bad in [
        "",
        "any",
        "manylinux_2_x86_64",
        "manylinux_2_28_",
        "macosx_14_0_ppc",
        "win64",
        "musllinux_x86_64",
        "linux_X",
    ] {
        assert!(matches!(read(bad), Err(PlatformError::Unknown(_))), "{bad}");
    }
}

#[test]
fn accepts_older_libraries_of_its_own_machine() {
    let accepts = |on: &str, tag: &str| Platform::from_str(on).unwrap().accepts(tag);
    for (on, yes, no) in [
        (
            "manylinux_2_28_x86_64",
            &["any", "linux_x86_64", "manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64"][..],
            &[
                "manylinux_2_29_x86_64",
                "manylinux_3_0_x86_64",
                "manylinux_2_17_aarch64",
                "musllinux_1_1_x86_64",
                "win_amd64",
            ][..],
        ),
        ("manylinux2014_x86_64", &["manylinux_2_17_x86_64"], &["manylinux_2_18_x86_64"]),
        (
            "musllinux_1_2_aarch64",
            &["musllinux_1_1_aarch64", "linux_aarch64"],
            &["musllinux_1_3_aarch64", "manylinux2014_aarch64"],
        ),
        (
            "macosx_12_0_arm64",
            &["macosx_11_0_arm64", "macosx_12_0_universal2", "macosx_10_9_universal2"],
            &["macosx_13_0_arm64", "macosx_10_9_x86_64", "macosx_11_0_x86_64"],
        ),
        (
            "macosx_10_15_x86_64",
            &["macosx_10_9_x86_64", "macosx_10_9_universal2", "macosx_10_6_intel"],
            &["macosx_11_0_x86_64", "macosx_11_0_arm64"],
        ),
        ("win_amd64", &["win_amd64", "any"], &["win32", "win_arm64", "linux_x86_64"]),
    ] {
        for tag in yes {
            assert!(accepts(on, tag), "{on} should take {tag}");
        }
        for tag in no {
            assert!(!accepts(on, tag), "{on} should not take {tag}");
        }
    }
}
