use super::*;
use crate::{environment::Environment, judge};

fn target(python: &str, platform: &str, implementation: Implementation) -> Target {
    Target::new(&Environment { python: python.into(), platform: platform.into(), implementation }).unwrap()
}

fn parse(filename: &str, project: &str) -> Result<Distribution, Unfit> {
    Distribution::parse(filename, &Name::new(project).unwrap())
}

#[test]
fn reads_names() {
    for (filename, project, version) in [
        ("requests-2.31.0-py3-none-any.whl", "requests", "2.31.0"),
        ("zope.interface-5.0-1build-cp38-cp38-win32.whl", "zope-interface", "5.0"),
        ("Foo_Bar-1.0.post1-py2.py3-none-any.whl", "foo-bar", "1.0.post1"),
        ("x-1.0+local.1-py3-none-any.whl", "x", "1.0+local.1"),
        ("zope.interface-5.0.tar.gz", "zope-interface", "5.0"),
        ("foo-bar-1.0-1.zip", "foo-bar", "1.0.post1"),
        ("a-1.0-rc1.tar.bz2", "a", "1.0rc1"),
    ] {
        assert_eq!(parse(filename, project).unwrap().version.to_string(), version, "{filename}");
    }
    for (filename, project, why) in [
        ("requests-2.0.egg", "requests", Unfit::Kind),
        ("requests-2.0.win32.exe", "requests", Unfit::Kind),
        ("index.json", "requests", Unfit::Kind),
        ("requests.whl", "requests", Unfit::Name),
        ("requests-2.0-py3-none.whl", "requests", Unfit::Name),
        ("requests-2.0-b1-py3-none-any.whl", "requests", Unfit::Name),
        ("other-2.0-py3-none-any.whl", "requests", Unfit::Name),
        ("requests-.tar.gz", "requests", Unfit::Version),
        ("requests.tar.gz", "requests", Unfit::Name),
        ("requests-2004d.tar.gz", "requests", Unfit::Version),
        ("requests-security-1.0.tar.gz", "requests", Unfit::Version),
    ] {
        assert_eq!(parse(filename, project).unwrap_err(), why, "{filename}");
    }
}

/// Every tag that `packaging` gives for an environment is accepted, and of many others none.
#[test]
fn agrees_with_packaging_on_tags() {
    let program = "from packaging import tags\nfor line in sys.stdin:\n  major, minor, name, *platforms = line.split()\n  v = (int(major), int(minor))\n  if name == 'cp':\n    abis = [f'cp{major}{minor}' + ('m' if v < (3, 8) else '')]\n    it = list(tags.cpython_tags(v, abis=abis, platforms=platforms))\n  else:\n    it = list(tags.generic_tags(f'pp{major}{minor}', [f'pypy{major}{minor}_pp73'], platforms))\n  it += list(tags.compatible_tags(v, f'{name}{major}' if name == 'pp' else f'cp{major}{minor}', platforms))\n  print(' '.join(map(str, it)))\n";
    let linux =
        "manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux1_x86_64 linux_x86_64";
    let environments = [
        ("3", "11", "cp", "manylinux_2_28_x86_64", linux),
        ("3", "7", "cp", "manylinux_2_28_x86_64", linux),
        ("3", "13", "cp", "win_amd64", "win_amd64"),
        ("3", "10", "pp", "manylinux_2_28_x86_64", linux),
    ];
    let lines: Vec<String> = environments
        .iter()
        .map(|(major, minor, name, _, all)| format!("{major} {minor} {name} {all}"))
        .collect();
    let Some(answers) = judge::python(program, &lines) else { return };
    let mut probes: Vec<String> = Vec::new();
    for python in [
        "py2", "py3", "py38", "py311", "py312", "cp3", "cp37", "cp310", "cp311", "cp313", "pp310", "pp3",
        "pp39",
    ] {
        for abi in [
            "none",
            "abi3",
            "cp37m",
            "cp37",
            "cp310",
            "cp311",
            "cp313",
            "cp313t",
            "pypy310_pp73",
            "pypy39_pp73",
        ] {
            for platform in [
                "any",
                "win_amd64",
                "win32",
                "manylinux1_x86_64",
                "manylinux_2_28_x86_64",
                "manylinux_2_31_x86_64",
            ] {
                probes.push(format!("{python}-{abi}-{platform}"));
            }
        }
    }
    for ((major, minor, name, platform, _), answer) in environments.iter().zip(&answers) {
        let implementation = if *name == "cp" { Implementation::Cpython } else { Implementation::Pypy };
        let target = target(&format!("{major}.{minor}"), platform, implementation);
        let accepted: Vec<&str> = answer.split(' ').collect();
        for tag in accepted.iter().copied().chain(probes.iter().map(String::as_str)) {
            let found = parse(&format!("x-1-{tag}.whl"), "x").unwrap().serves(&target);
            assert_eq!(found, accepted.contains(&tag), "{tag} in {}", target.shown());
        }
    }
}

#[test]
fn compressed_sets_serve_where_one_of_them_does() {
    let target = target("3.11", "manylinux_2_28_x86_64", Implementation::Cpython);
    for (filename, serves) in [
        ("x-1-py2.py3-none-any.whl", true),
        ("x-1-cp311-cp311-manylinux_2_12_x86_64.manylinux2010_x86_64.whl", true),
        ("x-1-cp39.cp310-cp39.cp310-manylinux1_x86_64.whl", false),
        ("x-1-CP311-CP311-Manylinux1_x86_64.whl", true),
        ("x-1-cp32-abi3-manylinux1_x86_64.whl", true),
        ("x-1-cp312-abi3-manylinux1_x86_64.whl", false),
        ("x-1-py3-none-manylinux_9_9_x86_64.musllinux_1_1_x86_64.whl", false),
        ("x-1...-none-any.whl", false),
        ("x-1-py99999999999-none-any.whl", false),
        ("x-1.tar.gz", true),
    ] {
        let found = parse(filename, "x").is_ok_and(|d| d.serves(&target));
        assert_eq!(found, serves, "{filename}");
    }
}
